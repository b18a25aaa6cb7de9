"""Checks of arguments, options and arrays, with one wording for each mistake."""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal, get_args, get_origin

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel

from noiseproof.core.errors import BadData, invalid
from noiseproof.core.registry import unknown_name


@dataclass(frozen=True)
class Range:
    """Numbers that an option may take; `str` describes them.

    Attributes:
        low: lower bound.
        high: upper bound.
        is_whole: only whole numbers.
        excludes_low: `low` itself is not allowed.
        excludes_high: `high` itself is not allowed.
    """

    low: float
    high: float = math.inf
    is_whole: bool = False
    excludes_low: bool = False
    excludes_high: bool = False

    def holds(self, value: Any) -> bool:
        """Whether the value is a finite number in the range; True and False are not numbers."""
        if isinstance(value, bool) or not isinstance(value, Integral if self.is_whole else numbers.Real):
            return False
        number = float(value)
        above = number > self.low if self.excludes_low else number >= self.low
        below = number < self.high if self.excludes_high else number <= self.high
        return above and below and math.isfinite(number)

    def __str__(self) -> str:
        bounds = []
        if self.low > -math.inf:
            bounds.append(f"{'>' if self.excludes_low else '>='} {self.low:g}")
        if self.high < math.inf:
            bounds.append(f"{'<' if self.excludes_high else '<='} {self.high:g}")
        return f"{'a whole number' if self.is_whole else 'a number'} {' and '.join(bounds)}".rstrip()


# What a value may be: a number, one of several words, True or False (`bool`), or a phrase about a value that
# is checked elsewhere.
Allowed = Range | tuple[str, ...] | type[bool] | str


def describe_allowed(allowed: Allowed) -> str:
    """The allowed values in words, for messages and tables."""
    if allowed is bool:
        return "True or False"
    return " or ".join(allowed) if isinstance(allowed, tuple) else str(allowed)


def is_allowed(value: Any, allowed: Allowed) -> bool:
    """Whether a value is allowed; a phrase allows everything."""
    if isinstance(allowed, Range):
        return allowed.holds(value)
    if allowed is bool:
        return isinstance(value, bool | np.bool_)
    return isinstance(allowed, str) or value in allowed


def check_arguments(
    values: Mapping[str, Any], allowed: Mapping[str, Allowed], *, may_be_none: Collection[str] = ()
) -> None:
    """Check arguments against a table of what each may be.

    Args:
        values: argument name -> value; arguments that are not in the table are not checked.
        allowed: argument name -> what it may be.
        may_be_none: arguments that may also be `None`.

    Raises:
        InvalidArgument: names the first argument that has another value or type.
    """
    for name, value in values.items():
        is_optional = name in may_be_none
        if name not in allowed or (value is None and is_optional) or is_allowed(value, allowed[name]):
            continue
        described = describe_allowed(allowed[name])
        raise invalid(name, value, f"{described}, or None" if is_optional else described)


def check_entries(
    argument: str, entries: Mapping[str, Any], allowed: Mapping[str, Allowed], *, owner: str
) -> None:
    """Check an argument that maps options to values, such as `loss_options`.

    Args:
        argument: its name.
        entries: option name -> value.
        allowed: every option that exists -> what it may be.
        owner: what the options belong to, for messages, such as "the loss 'gce'".

    Raises:
        UnknownName: an option that does not exist.
        InvalidArgument: names the first option that has another value or type.
    """
    for name, value in entries.items():
        if name not in allowed:
            none = "" if allowed else f"It has none. Next: leave `{argument}` out."
            raise unknown_name(f"option of {owner}", str(name), allowed, none)
        if not is_allowed(value, allowed[name]):
            raise invalid(f"{argument}[{name!r}]", value, f"{describe_allowed(allowed[name])} for {owner}")


def allowed_values(settings: type[BaseModel]) -> dict[str, Range | tuple[str, ...]]:
    """Range or words that each field of a settings model allows, from its bounds or its `Literal`."""
    allowed: dict[str, Range | tuple[str, ...]] = {}
    for name, field in settings.model_fields.items():
        if get_origin(field.annotation) is Literal:
            allowed[name] = get_args(field.annotation)
            continue
        bounds = {
            key: float(getattr(each, key)) for each in field.metadata for key in _BOUNDS if hasattr(each, key)
        }
        allowed[name] = Range(
            bounds.get("gt", bounds.get("ge", -math.inf)), bounds.get("lt", bounds.get("le", math.inf)),
            is_whole=field.annotation is int, excludes_low="gt" in bounds, excludes_high="lt" in bounds,
        )  # fmt: skip
    return allowed


_BOUNDS = ("gt", "ge", "lt", "le")  # of pydantic's fields
_SUMS_TO_1 = 1e-6  # a matrix read from text with six decimals is still one


def check_share(rate: Any, name: str) -> None:
    """Raise `InvalidArgument` unless this is a number in [0, 1]."""
    is_number = isinstance(rate, numbers.Real) and not isinstance(rate, bool)
    if not (is_number and 0 <= rate <= 1):  # false for NaN too
        raise invalid(name, rate, "a share between 0 and 1", "For percent, divide by 100.")


def check_transition(transition: Any, num_classes: int) -> Float[np.ndarray, "k k"]:
    """The matrix as float64, rows scaled to sum to exactly 1.

    Args:
        transition: (k, k), row-stochastic: `T[i, j] = P(given = j | clean = i)`.
        num_classes: k.

    Raises:
        InvalidArgument: another shape, values outside [0, 1], or a row that does not sum to 1; it is named.
    """
    try:
        matrix = np.array(transition, np.float64)
    except (TypeError, ValueError) as error:
        raise invalid("transition", transition, "a matrix of numbers") from error
    k = num_classes
    if matrix.shape != (k, k):
        raise invalid("transition", f"of shape {matrix.shape}", f"({k}, {k}): a row and a column per class")
    if not ((matrix >= 0) & (matrix <= 1)).all():  # false for NaN too
        row, column = np.argwhere(~((matrix >= 0) & (matrix <= 1)))[0]
        raise invalid(f"transition[{row}, {column}]", float(matrix[row, column]), "a probability in [0, 1]")
    sums = matrix.sum(axis=1)
    wrong = np.flatnonzero(np.abs(sums - 1) > _SUMS_TO_1)
    if len(wrong):
        columns_do = bool((np.abs(matrix.sum(axis=0) - 1) <= _SUMS_TO_1).all())
        raise invalid(
            "transition", f"a matrix whose row {wrong[0]} sums to {sums[wrong[0]]:.6g}",
            "rows that sum to 1, T[i, j] = P(given = j | clean = i)",
            "Its columns do sum to 1: transpose it." if columns_do else "Divide each row by its sum.",
        )  # fmt: skip
    return matrix / sums[:, None]


def check_unique_ids(ids: np.ndarray, name: str) -> None:
    """Raise `BadData` naming the first id that occurs twice."""
    values, counts = np.unique(ids, return_counts=True)
    if len(values) < len(ids):
        twice = values[counts > 1]
        raise BadData(
            f"The data set {name!r} has duplicate ids: {twice[:1].tolist()[0]!r} and {len(twice) - 1} more. "
            "Allowed: each id once. Next: drop the repeats or name another id column."
        )


def check_unique_names(class_names: Sequence[str], owner: str) -> None:
    """Raise `BadData` naming the first class name that occurs twice."""
    if len(set(class_names)) < len(class_names):
        twice = [each for each in dict.fromkeys(class_names) if class_names.count(each) > 1]
        raise BadData(
            f"{owner} has more than one class of the name {twice[0]!r}; allowed: each name once. "
            "Next: rename one of them, or merge the two."
        )


def check_label_range(labels: np.ndarray, num_classes: int, name: str) -> None:
    """Raise `BadData` naming the first row whose label is outside [0, num_classes)."""
    outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(outside):
        row = int(outside[0])
        raise BadData(
            f"Label {labels[row]} in row {row} of {name!r} is outside the classes; allowed: "
            f"0 to {num_classes - 1}. Next: correct the {len(outside)} such rows or give every class a name."
        )


def check_finite(features: np.ndarray, name: str = "features", *, first_row: int = 0) -> None:
    """Raise `BadData` naming the first row that holds NaN or infinity.

    Args:
        features: a matrix or some of its rows.
        first_row: number of `features[0]` in the whole matrix.
    """
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(bad):
        raise BadData(
            f"`{name}` has NaN or infinity in row {first_row + bad[0]} ({len(bad)} such rows among "
            f"{len(features)} read); allowed: finite numbers. Next: drop such rows or extract them again."
        )


def check_matrix(features: Any, name: str = "features") -> None:
    """Raise `InvalidArgument` unless this is an (n, d) array of real numbers with d >= 1."""
    shape, kind = tuple(features.shape), np.dtype(features.dtype).kind
    if len(shape) != 2 or shape[1] == 0:
        raise invalid(name, shape, "an array of two axes, (n, d), with d >= 1")
    if kind not in "fiub":
        raise invalid(name, str(features.dtype), "an array of real numbers")


def check_labels_present(labels: np.ndarray, name: str) -> None:
    """Raise `BadData` naming the first row whose label is None, NaN, NaT or pandas' NA."""
    if labels.dtype.kind not in "fcmMO" or labels.ndim != 1:
        return
    import pandas as pd

    missing = np.flatnonzero(pd.isna(labels))
    if len(missing):
        raise BadData(
            f"`{name}` has no label in row {missing[0]} ({len(missing)} such rows in all); allowed: a "
            "label for every example. Next: leave these rows out."
        )
