"""Constructor options of a head -> its specification; options that are `None` are those of the recipe."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from noiseproof.heads.modules import Architecture
from noiseproof.heads.options import RegularizationOptions, ShapeOptions
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
from noiseproof.losses.losses import resolve_options
from noiseproof.losses.squared_error import SQUARED_ERROR

_SHAPE = {
    "hidden_layers": "hidden_layers",
    "hidden_ratio": "hidden_ratio",
    "activation": "activation",
    "batch_norm": "use_batch_norm",
    "residual": "use_residual",
    "residual_scale": "residual_scale",
    "dropout": "dropout",
}


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
