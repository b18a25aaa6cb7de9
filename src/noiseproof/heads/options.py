"""Options of heads, each once, their checks, and the specification that follows from them.

`estimators.py` describes them. They are dataclasses, so that scikit-learn finds them in the signature. An
option that is `None` takes the recipe's value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, get_args

from noiseproof.core.checks import Allowed, Range, check_arguments
from noiseproof.core.errors import invalid
from noiseproof.core.registry import unknown_name
from noiseproof.heads.modules import ACTIVATIONS, Architecture
from noiseproof.heads.recipes import (
    MLP_LEARNING_RATE,
    MLP_WEIGHT_DECAY,
    PROBE_LEARNING_RATE,
    PROBE_WEIGHT_DECAY,
    RECIPES,
    HeadSpec,
    Regularization,
    Training,
)
from noiseproof.losses.losses import LOSSES, needs_transition, resolve_options
from noiseproof.losses.squared_error import SQUARED_ERROR
from noiseproof.training.schedule import Decay

_ALLOWED: dict[str, Allowed] = {
    "recipe": tuple(RECIPES),
    "epochs": Range(1.0, is_whole=True),
    "batch_size": Range(1.0, is_whole=True),
    "learning_rate": Range(0.0, excludes_low=True),
    "weight_decay": Range(0.0),
    "warmup_steps": Range(0.0, is_whole=True),
    "schedule": get_args(Decay),
    "min_steps": Range(1.0, is_whole=True),
    "max_steps": Range(1.0, is_whole=True),
    "loss": LOSSES.names,
    "hidden_layers": Range(1.0, is_whole=True),
    "hidden_ratio": Range(0.0, excludes_low=True),
    "activation": tuple(ACTIVATIONS),
    "batch_norm": bool,
    "residual": bool,
    "residual_scale": Range(-math.inf),
    "dropout": Range(0.0, 1.0, excludes_high=True),
    "weight_mse": Range(0.0),
    "weight_cov": Range(0.0),
    "weight_svd": Range(0.0),
    "num_singular_values": Range(1.0, is_whole=True),
    "noise_tolerant": bool,
    "seed": Range(0.0, is_whole=True),
}
_SELF_LABELLING = ("bootstrap_soft", "bootstrap_hard")  # mix the given label with the head's prediction

# Option -> name in `Architecture`.
_SHAPE = {
    "hidden_layers": "hidden_layers",
    "hidden_ratio": "hidden_ratio",
    "activation": "activation",
    "batch_norm": "use_batch_norm",
    "residual": "use_residual",
    "residual_scale": "residual_scale",
    "dropout": "dropout",
}


@dataclass(kw_only=True, eq=False, repr=False)
class TrainingOptions:
    """Options of every head."""

    recipe: str = "default"
    epochs: int = 30
    batch_size: int = 64
    learning_rate: float | None = None
    weight_decay: float | None = None
    warmup_steps: int = 0
    schedule: str = "cosine"
    min_steps: int = 1
    max_steps: int | None = None
    seed: int = 0


@dataclass(kw_only=True, eq=False, repr=False)
class LossOptions:
    """Options of every head that learns classes."""

    loss: str = "cross_entropy"
    loss_options: dict[str, Any] | None = None
    noise_tolerant: bool = False


@dataclass(kw_only=True, eq=False, repr=False)
class ShapeOptions(TrainingOptions):
    """Options of heads with hidden layers."""

    hidden_ratio: float | None = None
    hidden_layers: int | None = None
    activation: str | None = None
    batch_norm: bool | None = None
    residual: bool | None = None
    residual_scale: float | None = None
    dropout: float | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class RegularizationOptions(ShapeOptions):
    """Options of the terms of NMTune."""

    weight_mse: float | None = None
    weight_cov: float | None = None
    weight_svd: float | None = None
    num_singular_values: int | None = None


# `None` takes the recipe's value, or leaves the number of steps unbounded.
_MAY_BE_NONE = frozenset(one.name for one in fields(RegularizationOptions) if one.default is None)


def check_options(options: Mapping[str, Any]) -> None:
    """Check the constructor arguments of a head.

    Raises:
        InvalidArgument: names the option, its value and the range.
        UnknownName: with the nearest known name.
    """
    for name, value in options.items():
        names = _ALLOWED.get(name)
        if isinstance(names, tuple) and value not in names and not (value is None and name in _MAY_BE_NONE):
            raise unknown_name(name, str(value), names)
    check_arguments(options, _ALLOWED, may_be_none=_MAY_BE_NONE)
    loss = options.get("loss", "")
    if options.get("noise_tolerant") and (needs_transition(loss) or loss in _SELF_LABELLING):
        raise invalid(
            "loss", loss, "a loss for correct labels, with noise_tolerant=True",
            "This loss corrects wrong labels itself, so they would be corrected twice. Next: leave "
            "`noise_tolerant` out, or take another loss.",
        )  # fmt: skip


def spec_of(head: Any) -> HeadSpec:
    """The specification of a head, whose options were checked."""
    return HeadSpec(_architecture(head), _regularization(head), _training(head), head.seed)


def _training(head: Any) -> Training:
    learning_rate, weight_decay = MLP_LEARNING_RATE, MLP_WEIGHT_DECAY
    if not isinstance(head, ShapeOptions):
        learning_rate, weight_decay = PROBE_LEARNING_RATE[head.recipe], PROBE_WEIGHT_DECAY[head.recipe]
    return Training(
        epochs=head.epochs,
        batch_size=head.batch_size,
        learning_rate=learning_rate if head.learning_rate is None else float(head.learning_rate),
        weight_decay=weight_decay if head.weight_decay is None else float(head.weight_decay),
        warmup_steps=head.warmup_steps,
        decay=head.schedule,
        min_steps=head.min_steps,
        max_steps=head.max_steps,
        **_loss_of(head),
    )


def _loss_of(head: Any) -> dict[str, Any]:
    """The loss of a classifier; that of scores is the squared error."""
    if not head.has_classes:
        return {"loss": SQUARED_ERROR, "loss_options": ()}
    return {
        "loss": head.loss,
        "loss_options": resolve_options(head.loss, head.loss_options),
        "noise_tolerant": bool(head.noise_tolerant),
    }


def _architecture(head: Any) -> Architecture:
    """The shape of a head: what the user set, else that of the recipe."""
    if not isinstance(head, ShapeOptions):
        return Architecture(hidden_layers=0)
    given = _given_options(head, _SHAPE)
    if "hidden_ratio" in given:
        given["least_hidden"] = 1  # an explicit width has no lower bound
    return replace(RECIPES[head.recipe].architecture, **given)


def _regularization(head: Any) -> Regularization:
    """The terms of NMTune: what the user set, else those of the recipe; none for other heads."""
    if not isinstance(head, RegularizationOptions):
        return Regularization()
    names = ("weight_mse", "weight_cov", "weight_svd", "num_singular_values")
    return replace(
        RECIPES[head.recipe].regularization, **_given_options(head, {name: name for name in names})
    )


def _given_options(head: Any, names: dict[str, str]) -> dict[str, Any]:
    """Options that the user set, by their names in the spec."""
    values = {field: getattr(head, name) for name, field in names.items()}
    return {field: value for field, value in values.items() if value is not None}
