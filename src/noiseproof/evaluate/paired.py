"""Two classifiers on the same examples."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float

from noiseproof.core.errors import invalid

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

    With d_i = second_i - first_i: the value is mean(d). The interval is mean(e) -+ 1.96 sd(e) / sqrt(n + 2),
    where e has two more examples, one gained and one lost, so that few examples that differ prove nothing. It
    tells the luck of the examples; that of the training is averaged where the arrays are means over seeds.

    Args:
        first: share of seeds that have an example right: 0 or 1 for a single one.
        second: likewise.

    Raises:
        InvalidArgument: no example.

    Source: Bonett & Price 2012, Journal of Educational and Behavioral Statistics 37, 479-488 (adjusted Wald
    interval), for one seed.
    """
    if not len(first):
        raise invalid("first", first, "at least one example")
    gain = second - first
    padded = np.append(gain, [1.0, -1.0])
    middle, margin = float(padded.mean()), _STANDARD_ERRORS * float(padded.std()) / np.sqrt(len(padded))
    return Difference(float(gain.mean()), max(middle - margin, -1.0), min(middle + margin, 1.0))
