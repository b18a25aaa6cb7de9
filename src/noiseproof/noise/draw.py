"""Result of a kind of noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int


@dataclass(frozen=True, eq=False)
class Draw:
    """Labels after one kind of noise.

    Attributes:
        given: class ids, of the dtype `widened` gives.
        asked_rate: expected share of wrong labels, where no single rate was given.
        example_entropy_nats: mean entropy of the distributions that wrong labels were drawn from.
    """

    given: Int[np.ndarray, " n"]
    asked_rate: float | None = None
    example_entropy_nats: float | None = None


def widened(clean_labels: Int[np.ndarray, " n"], num_classes: int) -> Int[np.ndarray, " n"]:
    """A copy of the labels, as 64-bit numbers where their own dtype cannot hold k - 1.

    Eight bits may hold the classes that occur, but not those the labels go to.
    """
    has_room = num_classes - 1 <= np.iinfo(clean_labels.dtype).max
    return clean_labels.astype(clean_labels.dtype if has_room else np.int64)
