"""Two classifiers on the same examples."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float

_STANDARD_ERRORS = 1.96


@dataclass(frozen=True)
class Difference:
    """A difference of two accuracies with its 95 % interval."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """Plain values."""
        return asdict(self)


def paired_difference(first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"]) -> Difference:
    """The accuracy of the second classifier minus that of the first, on the same examples.

    With d_i = second_i - first_i: mean(d) -+ 1.96 sd(d) / sqrt(n). It tells the luck of the examples; that of
    the training is averaged where the arrays are means over seeds.

    Args:
        first: whether each example is right, or the share of seeds that have it right.
        second: likewise.

    Source: Newcombe 1998, Statistics in Medicine 17, 2635-2650, method 1, for one seed.
    Differs: the standard deviation has n - 1, not n.
    """
    gain = second - first
    margin = _STANDARD_ERRORS * float(gain.std(ddof=1)) / np.sqrt(len(gain)) if len(gain) > 1 else 1.0
    value = float(gain.mean())
    return Difference(value, max(value - float(margin), -1.0), min(value + float(margin), 1.0))
