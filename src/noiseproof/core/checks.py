"""Checks of options and data, with the same wording in every room."""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from jaxtyping import Float

from noiseproof.core.errors import BadData, invalid


@dataclass(frozen=True)
class Range:
    """Numbers an option may take; `str` puts them in words.

    Attributes:
        low: smallest number.
        high: largest number.
        is_whole: no fractions.
        excludes_low: `low` itself is not allowed.
        excludes_high: `high` itself is not allowed.
    """

    low: float
    high: float = math.inf
    is_whole: bool = False
    excludes_low: bool = False
    excludes_high: bool = False

    def holds(self, value: Any) -> bool:
        """Whether this is a finite number in the range; booleans are not."""
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


def check_ranges(
    values: Mapping[str, Any], ranges: Mapping[str, Range], *, may_be_none: Collection[str] = ()
) -> None:
    """Check each value that has a range.

    Args:
        values: name of the argument -> value; values without a range are not checked.
        ranges: name of the argument -> range.
        may_be_none: names whose value may be `None`.

    Raises:
        InvalidArgument: names the first one outside its range, or of another type.
    """
    for name, allowed in ranges.items():
        is_optional = name in may_be_none
        if (values[name] is None and is_optional) or allowed.holds(values[name]):
            continue
        raise invalid(name, values[name], f"{allowed}, or None" if is_optional else str(allowed))


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
        name: of the argument.
        first_row: number of `features[0]` in the whole matrix.
    """
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(bad):
        raise BadData(
            f"`{name}` has NaN or infinity in row {first_row + bad[0]} ({len(bad)} such rows among "
            f"{len(features)} read); allowed: finite numbers. Next: drop such rows or extract them again."
        )


def check_matrix(features: Any, name: str = "features") -> None:
    """Raise `InvalidArgument` unless this is an (n, d) array of real numbers with d >= 1.

    Args:
        features: anything with a shape and a dtype.
        name: of the argument.
    """
    shape, kind = tuple(features.shape), np.dtype(features.dtype).kind
    if len(shape) != 2 or shape[1] == 0:
        raise invalid(name, shape, "an array of two axes, (n, d), with d >= 1")
    if kind not in "fiub":
        raise invalid(name, str(features.dtype), "an array of real numbers")


def check_labels_present(labels: np.ndarray, name: str) -> None:
    """Raise `BadData` naming the first row whose label is None or NaN."""
    if labels.dtype.kind not in "fO" or labels.ndim != 1:
        return
    # None != None is False, NaN != NaN is True: both are missing.
    missing = [row for row, label in enumerate(labels.tolist()) if label is None or label != label]
    if missing:
        raise BadData(
            f"`{name}` has no label in row {missing[0]} ({len(missing)} such rows in all); allowed: a "
            "label for every example. Next: leave these rows out."
        )
