"""Specification of a head and its training as plain values, and the two published recipes of NMTune.

The paper and the released code of Chen, Wang et al. 2024 (arXiv:2309.17002) disagree, so each is a recipe of
its own. An option that is `None` takes the recipe's value.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from noiseproof.heads.modules import Architecture
from noiseproof.losses.losses import Options, resolve_options
from noiseproof.training.schedule import Decay

_PLAIN = resolve_options("cross_entropy", None)


@dataclass(frozen=True)
class Regularization:
    """Weights and variants of the three regularisers of NMTune.

    Attributes:
        weight_mse: of the consistency term.
        weight_cov: of the covariance term.
        weight_svd: of the dominance term, which is maximised.
        num_singular_values: number of dominant singular values.
        is_cross_view: compare reshaped view 2 with encoded view 1, averaged over examples and features
            ("released"), instead of each example with itself, averaged over examples ("paper").
    """

    weight_mse: float = 0.0
    weight_cov: float = 0.0
    weight_svd: float = 0.0
    num_singular_values: int = 1
    is_cross_view: bool = False

    @property
    def is_active(self) -> bool:
        """Whether any weight is nonzero."""
        return any((self.weight_mse, self.weight_cov, self.weight_svd))


@dataclass(frozen=True)
class Training:
    """How a head is trained; AdamW throughout.

    Attributes:
        epochs: passes over the examples.
        batch_size: examples per step.
        learning_rate: peak of the schedule.
        weight_decay: decoupled, on every parameter.
        warmup_steps: steps of linear rise.
        decay: schedule of the learning rate after the warm-up.
        min_steps: least number of optimiser steps; small data sets get more epochs.
        max_steps: largest number of optimiser steps (`heads.step_budget`).
        loss: name in `losses.losses`.
        loss_options: result of `losses.losses.resolve_options`.
        noise_tolerant: learn from probabilities of the true labels (`posterior.true_labels`).
    """

    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warmup_steps: int = 0
    decay: Decay = "cosine"
    min_steps: int = 1
    max_steps: int | None = None
    loss: str = "cross_entropy"
    loss_options: Options = _PLAIN
    noise_tolerant: bool = False


@dataclass(frozen=True)
class HeadSpec:
    """Everything that determines what one head learns from given features and labels."""

    architecture: Architecture = field(default_factory=Architecture)
    regularization: Regularization = field(default_factory=Regularization)
    training: Training = field(default_factory=Training)
    seed: int = 0


_PAPER = HeadSpec(
    Architecture(hidden_layers=1, hidden_ratio=4.0, activation="relu"),
    Regularization(weight_mse=0.01, weight_cov=0.01, weight_svd=0.01),
    Training(),
)

_RELEASED = HeadSpec(
    replace(_PAPER.architecture, use_batch_norm=True, use_residual=True, residual_scale=1.0),
    Regularization(
        weight_mse=1.0, weight_cov=0.04, weight_svd=0.001, num_singular_values=5, is_cross_view=True
    ),
    Training(),
)

# With the published learning rate a narrower MLP hardly learns in 30 epochs. For every encoder with d >= 32
# this is the paper's recipe.
_DEFAULT = replace(_PAPER, architecture=replace(_PAPER.architecture, least_hidden=128))

RECIPES: dict[str, HeadSpec] = {"default": _DEFAULT, "paper": _PAPER, "released": _RELEASED}

MLP_WEIGHT_DECAY = 1e-4  # of MLPProbe and NMTune, in every recipe
MLP_LEARNING_RATE = 1e-3  # likewise
# The paper's set-up (A.2) has a rate of 0.1 and no weight decay for the linear probe, the released command
# line 0.01 and 1e-4.
PROBE_LEARNING_RATE = {"default": 0.01, "paper": 0.1, "released": 0.01}
PROBE_WEIGHT_DECAY = {"default": 0.0, "paper": 0.0, "released": 1e-4}
