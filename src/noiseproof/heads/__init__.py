"""scikit-learn classifiers on the features of a frozen encoder.

`estimators.py` has `LinearProbe`, `MLPProbe` and `NMTune`; to add a head, write a subclass of `AbstractHead`
(`abstract.py`) there and add it to `HEADS`. `options.py` checks constructor arguments, `recipes.py` has the
published settings, `modules.py` the networks, `fit.py` the training loop, `step_budget.py` the number of
steps, `saved_heads.py` saved heads. Losses are in `losses/`.
"""
