"""Ranges of numbers that options may take, checked and told the same way everywhere."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from noiseproof.errors import invalid


@dataclass(frozen=True)
class Range:
    """Numbers an option may take; `str` says them in words.

    Attributes:
        low: the least number, or what numbers have to be above.
        high: the largest, or what they have to be below.
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
        """Whether this is a finite number inside; truth values are none."""
        if isinstance(value, bool) or not isinstance(value, Integral if self.is_whole else Real):
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
        values: by name of the argument; those without a range are left alone.
        ranges: by the same names.
        may_be_none: those that `None` leaves to somebody else.

    Raises:
        InvalidArgument: names the first one outside its range, or of another type.
    """
    for name, allowed in ranges.items():
        is_optional = name in may_be_none
        if (values[name] is None and is_optional) or allowed.holds(values[name]):
            continue
        raise invalid(name, values[name], f"{allowed}, or None" if is_optional else str(allowed))
