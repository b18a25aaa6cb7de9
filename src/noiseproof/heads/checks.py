"""Checks of a head's options: each names the option, its value and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, get_args

import numpy as np

from noiseproof.errors import invalid
from noiseproof.heads.modules import ACTIVATIONS
from noiseproof.heads.recipes import RECIPES
from noiseproof.losses.classification import LOSSES
from noiseproof.registry import unknown_name
from noiseproof.schedule import Decay


@dataclass(frozen=True)
class _Range:
    """Numbers an option may take."""

    low: float
    high: float = math.inf
    is_whole: bool = False
    excludes_low: bool = False
    excludes_high: bool = False

    def holds(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, Integral if self.is_whole else Real):
            return False
        number = float(value)
        above = number > self.low if self.excludes_low else number >= self.low
        below = number < self.high if self.excludes_high else number <= self.high
        return above and below and math.isfinite(number)

    def __str__(self) -> str:
        number = "a whole number" if self.is_whole else "a number"
        low = f"{'>' if self.excludes_low else '>='} {self.low:g}"
        high = "" if self.high == math.inf else f" and {'<' if self.excludes_high else '<='} {self.high:g}"
        return f"{number} {low}{high}"


_RANGES = {
    "epochs": _Range(1.0, is_whole=True),
    "batch_size": _Range(1.0, is_whole=True),
    "learning_rate": _Range(0.0, excludes_low=True),
    "weight_decay": _Range(0.0),
    "warmup_steps": _Range(0.0, is_whole=True),
    "min_steps": _Range(1.0, is_whole=True),
    "max_steps": _Range(1.0, is_whole=True),
    "hidden_layers": _Range(1.0, is_whole=True),
    "hidden_ratio": _Range(0.0, excludes_low=True),
    "residual_scale": _Range(-math.inf),
    "dropout": _Range(0.0, 1.0, excludes_high=True),
    "weight_mse": _Range(0.0),
    "weight_cov": _Range(0.0),
    "weight_svd": _Range(0.0),
    "num_singular_values": _Range(1.0, is_whole=True),
    "seed": _Range(0.0, is_whole=True),
}
_NAMES: dict[str, tuple[str, ...]] = {
    "recipe": tuple(RECIPES),
    "loss": LOSSES.names,
    "schedule": get_args(Decay),
    "activation": tuple(ACTIVATIONS),
}
_SWITCHES = ("batch_norm", "residual")
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
