"""The heads of `estimators.py` for scores: scikit-learn regressors on (n, d) features.

They learn the squared error of scores of mean 0 and variance 1 and predict in the unit of the scores. Paper 1
tunes such heads on STS-B without stating their loss (Chen, Wang et al. 2024, arXiv:2309.17002, B.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from noiseproof.heads.abstract import AbstractRegressor, AbstractReshapingHead
from noiseproof.heads.options import check_options
from noiseproof.heads.recipes import HeadSpec, Regularization
from noiseproof.heads.specs import architecture_of, mlp_training, probe_spec, regularization_of


class LinearProbeRegressor(AbstractRegressor):
    """A linear map from frozen features to a score, trained as `LinearProbe` is.

    Args:
        recipe, epochs, batch_size, learning_rate, weight_decay, warmup_steps, schedule, min_steps, max_steps,
            seed: as in `LinearProbe`.
    """

    kind: ClassVar[str] = "linear-regressor"

    def __init__(
        self,
        *,
        recipe: str = "default",
        epochs: int = 30,
        batch_size: int = 64,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        warmup_steps: int = 0,
        schedule: str = "cosine",
        min_steps: int = 1,
        max_steps: int | None = None,
        seed: int = 0,
    ) -> None:
        _keep(self, locals())

    def spec(self) -> HeadSpec:
        """The options, resolved and checked."""
        check_options(self.get_params())
        return probe_spec(self)


class MLPProbeRegressor(AbstractReshapingHead, AbstractRegressor):
    """An MLP that reshapes the features, then a linear map to a score.

    Args:
        hidden_ratio, hidden_layers, activation, batch_norm, residual, residual_scale, dropout: as in
            `MLPProbe`.
        recipe, epochs, batch_size, learning_rate, weight_decay, warmup_steps, schedule, min_steps, max_steps,
            seed: as in `MLPProbe`.
    """

    kind: ClassVar[str] = "mlp-regressor"

    def __init__(
        self,
        *,
        recipe: str = "default",
        hidden_ratio: float | None = None,
        hidden_layers: int | None = None,
        activation: str | None = None,
        batch_norm: bool | None = None,
        residual: bool | None = None,
        residual_scale: float | None = None,
        dropout: float | None = None,
        epochs: int = 30,
        batch_size: int = 64,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        warmup_steps: int = 0,
        schedule: str = "cosine",
        min_steps: int = 1,
        max_steps: int | None = None,
        seed: int = 0,
    ) -> None:
        _keep(self, locals())

    def spec(self) -> HeadSpec:
        """The options, resolved and checked."""
        check_options(self.get_params())
        return HeadSpec(architecture_of(self), Regularization(), mlp_training(self), vars(self)["seed"])


class NMTuneRegressor(AbstractReshapingHead, AbstractRegressor):
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

    def __init__(
        self,
        *,
        recipe: str = "default",
        weight_mse: float | None = None,
        weight_cov: float | None = None,
        weight_svd: float | None = None,
        num_singular_values: int | None = None,
        hidden_ratio: float | None = None,
        hidden_layers: int | None = None,
        activation: str | None = None,
        batch_norm: bool | None = None,
        residual: bool | None = None,
        residual_scale: float | None = None,
        dropout: float | None = None,
        epochs: int = 30,
        batch_size: int = 64,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        warmup_steps: int = 0,
        schedule: str = "cosine",
        min_steps: int = 1,
        max_steps: int | None = None,
        seed: int = 0,
    ) -> None:
        _keep(self, locals())

    def spec(self) -> HeadSpec:
        """The options, resolved and checked."""
        check_options(self.get_params())
        return HeadSpec(
            architecture_of(self), regularization_of(self), mlp_training(self), vars(self)["seed"]
        )


REGRESSORS: dict[str, type[AbstractRegressor]] = {
    "linear": LinearProbeRegressor, "mlp": MLPProbeRegressor, "nmtune": NMTuneRegressor,
}  # fmt: skip


def _keep(head: AbstractRegressor, arguments: Mapping[str, Any]) -> None:
    """Keep the constructor's arguments as attributes of their names, as scikit-learn requires."""
    for name, value in arguments.items():
        if name != "self":
            setattr(head, name, value)
