"""scikit-learn classifiers and regressors on the features of a frozen encoder.

`estimators.py` has `LinearProbe`, `MLPProbe` and `NMTune`, `regressors.py` the same for scores; to
add a head, write a subclass of `AbstractClassifier` (`abstract.py`) there and add it to `HEADS`. `specs.py`
turns options into a specification, `options.py` checks constructor arguments, `recipes.py` has the
published settings, `modules.py` the networks, `fit.py` the training loop, `step_budget.py` the number of
steps, `saved_heads.py` saved heads. Losses are in `losses/`.
"""
