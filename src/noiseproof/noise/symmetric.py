"""Symmetric noise: an exact number of labels go to other classes, each with the same chance."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from noiseproof.errors import invalid


def symmetric(
    clean_labels: Int[np.ndarray, " n"], *, rate: float, num_classes: int, rng: np.random.Generator
) -> Int[np.ndarray, " n"]:
    """Give exactly round(rate * n) labels, chosen at random, to one of the k - 1 other classes.

    Args:
        clean_labels: class ids in [0, k).
        rate: share of labels to change, in [0, 1].
        num_classes: k.
        rng: the only source of chance.

    Returns:
        The labels after that, of the same dtype, or 64-bit ones where that cannot hold k - 1.

    Raises:
        InvalidArgument: there is no other class to go to.
    """
    num_flips = round(rate * len(clean_labels))
    if num_flips and num_classes < 2:
        raise invalid("num_classes", num_classes, "at least 2 where labels are to change")
    rows = rng.choice(len(clean_labels), num_flips, replace=False) if num_flips else np.empty(0, np.int64)
    # Eight bits may hold the classes that occur, but not those the labels go to.
    has_room = num_classes - 1 <= np.iinfo(clean_labels.dtype).max
    given = clean_labels.astype(clean_labels.dtype if has_room else np.int64)
    # A step of 1 to k - 1 around the circle of classes never ends where it began.
    steps = rng.integers(1, max(num_classes, 2), size=num_flips)
    given[rows] = (clean_labels[rows].astype(np.int64) + steps) % num_classes
    return given
