"""The heads of `estimators.py` for scores: scikit-learn regressors on (n, d) features.

They have the same options but for the loss (`loss`, `loss_options`, `noise_tolerant`): they learn the squared
error of scores of mean 0 and variance 1 and predict in the unit of the scores. Paper 1 tunes such heads on
STS-B without stating their loss (Chen, Wang et al. 2024, arXiv:2309.17002, B.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from noiseproof.heads.abstract import AbstractRegressor, AbstractReshapingHead
from noiseproof.heads.options import RegularizationOptions, ShapeOptions, TrainingOptions


@dataclass(kw_only=True, eq=False, repr=False)
class LinearProbeRegressor(TrainingOptions, AbstractRegressor):
    """A linear map from frozen features to a score, with the options of `LinearProbe` but for the loss."""

    kind: ClassVar[str] = "linear-regressor"


@dataclass(kw_only=True, eq=False, repr=False)
class MLPProbeRegressor(ShapeOptions, AbstractReshapingHead, AbstractRegressor):
    """An MLP before a linear map to a score, with the options of `MLPProbe` but for the loss."""

    kind: ClassVar[str] = "mlp-regressor"


@dataclass(kw_only=True, eq=False, repr=False)
class NMTuneRegressor(RegularizationOptions, MLPProbeRegressor):
    """NMTune for scores: the squared error in place of the classification loss, the same three regularisers.

    Options are those of `NMTune` but for the loss.

    Source: Chen, Wang et al. 2024, arXiv:2309.17002, Eq. 6 with the loss of this module.
    """

    kind: ClassVar[str] = "nmtune-regressor"


REGRESSORS: dict[str, type[AbstractRegressor]] = {
    "linear": LinearProbeRegressor, "mlp": MLPProbeRegressor, "nmtune": NMTuneRegressor,
}  # fmt: skip
