"""Checks of a head's options: each names the option, its value and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np

from noiseproof.core.checks import Range
from noiseproof.core.errors import invalid
from noiseproof.core.registry import unknown_name
from noiseproof.heads.modules import ACTIVATIONS
from noiseproof.heads.recipes import RECIPES
from noiseproof.losses.losses import LOSSES, needs_transition
from noiseproof.training.schedule import Decay

_RANGES = {
    "epochs": Range(1.0, is_whole=True),
    "batch_size": Range(1.0, is_whole=True),
    "learning_rate": Range(0.0, excludes_low=True),
    "weight_decay": Range(0.0),
    "warmup_steps": Range(0.0, is_whole=True),
    "min_steps": Range(1.0, is_whole=True),
    "max_steps": Range(1.0, is_whole=True),
    "hidden_layers": Range(1.0, is_whole=True),
    "hidden_ratio": Range(0.0, excludes_low=True),
    "residual_scale": Range(-math.inf),
    "dropout": Range(0.0, 1.0, excludes_high=True),
    "weight_mse": Range(0.0),
    "weight_cov": Range(0.0),
    "weight_svd": Range(0.0),
    "num_singular_values": Range(1.0, is_whole=True),
    "seed": Range(0.0, is_whole=True),
}
_NAMES: dict[str, tuple[str, ...]] = {
    "recipe": tuple(RECIPES),
    "loss": LOSSES.names,
    "schedule": get_args(Decay),
    "activation": tuple(ACTIVATIONS),
}
_OF_GIVEN_LABELS = ("bootstrap_soft", "bootstrap_hard")  # they mix the given label with what the head says
_SWITCHES = ("batch_norm", "residual", "noise_tolerant")
# `None` leaves these to the recipe, or the steps unbounded.
_MAY_NOT_BE_NONE = frozenset(
    {
        "epochs",
        "batch_size",
        "learning_rate",
        "warmup_steps",
        "min_steps",
        "seed",
        "recipe",
        "loss",
        "schedule",
        "noise_tolerant",
    }
)


def check_options(options: Mapping[str, Any]) -> None:
    """Check the constructor arguments of a head.

    Raises:
        InvalidArgument: names the option, its value and the range.
        UnknownName: with the nearest known name.
    """
    for name, value in options.items():
        if value is None and name not in _MAY_NOT_BE_NONE:
            continue
        if name in _RANGES and not _RANGES[name].holds(value):
            raise invalid(name, value, str(_RANGES[name]))
        if name in _NAMES and value not in _NAMES[name]:
            raise unknown_name(name, str(value), _NAMES[name])
        if name in _SWITCHES and not isinstance(value, bool | np.bool_):
            raise invalid(name, value, "True or False")
    loss = options.get("loss", "")
    if options.get("noise_tolerant") and (needs_transition(loss) or loss in _OF_GIVEN_LABELS):
        raise invalid(
            "loss", loss, "a loss of labels that are right, with noise_tolerant=True",
            "This one corrects for wrong labels, which would be done twice. Next: leave `noise_tolerant` "
            "out, or take another loss.",
        )  # fmt: skip
