"""scikit-learn classifiers and regressors on the features of a frozen encoder.

`estimators.py` has `LinearProbe`, `MLPProbe` and `NMTune`, `regressors.py` the same for scores; to
add a head, write a subclass of `AbstractClassifier` (`abstract.py`) there and add it to `HEADS`. `options.py`
has the options, their checks and the specification that follows from them, `recipes.py` the published
settings, `modules.py` the networks, `fit.py` the training loop, `step_budget.py` the number of steps,
`saved_heads.py` saved heads. Losses are in `losses/`.
"""
