"""The heads of `estimators.py` for scores: scikit-learn regressors on (n, d) features.

They learn the squared error of scores of mean 0 and variance 1 and predict in the unit of the scores. Paper 1
tunes such heads on STS-B without stating their loss (Chen, Wang et al. 2024, arXiv:2309.17002, B.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from noiseproof.heads.abstract import AbstractRegressor, AbstractReshapingHead
from noiseproof.heads.options import RegularizationOptions, ShapeOptions, TrainingOptions


@dataclass(kw_only=True, eq=False, repr=False)
class LinearProbeRegressor(TrainingOptions, AbstractRegressor):
    """A linear map from frozen features to a score, trained as `LinearProbe` is.

    Args:
        recipe, epochs, batch_size, learning_rate, weight_decay, warmup_steps, schedule, min_steps, max_steps,
            seed: as in `LinearProbe`.
    """

    kind: ClassVar[str] = "linear-regressor"


@dataclass(kw_only=True, eq=False, repr=False)
class MLPProbeRegressor(ShapeOptions, AbstractReshapingHead, AbstractRegressor):
    """An MLP that reshapes the features, then a linear map to a score.

    Args:
        hidden_ratio, hidden_layers, activation, batch_norm, residual, residual_scale, dropout: as in
            `MLPProbe`.
        recipe, epochs, batch_size, learning_rate, weight_decay, warmup_steps, schedule, min_steps, max_steps,
            seed: as in `MLPProbe`.
    """

    kind: ClassVar[str] = "mlp-regressor"


@dataclass(kw_only=True, eq=False, repr=False)
class NMTuneRegressor(RegularizationOptions, MLPProbeRegressor):
    """NMTune for scores: the squared error in place of the classification loss, the same three regularisers.

    Args:
        weight_mse, weight_cov, weight_svd, num_singular_values: as in `NMTune`.
        hidden_ratio, hidden_layers, activation, batch_norm, residual, residual_scale, dropout: as in
            `MLPProbe`.
        recipe, epochs, batch_size, learning_rate, weight_decay, warmup_steps, schedule, min_steps, max_steps,
            seed: as in `NMTune`.

    Source: Chen, Wang et al. 2024, arXiv:2309.17002, Eq. 6 with the loss of this module.
    """

    kind: ClassVar[str] = "nmtune-regressor"


REGRESSORS: dict[str, type[AbstractRegressor]] = {
    "linear": LinearProbeRegressor, "mlp": MLPProbeRegressor, "nmtune": NMTuneRegressor,
}  # fmt: skip
