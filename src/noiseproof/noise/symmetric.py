"""Symmetric noise: an exact number of labels go to other classes, each with the same chance."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from noiseproof.errors import invalid
from noiseproof.noise.draw import Draw, widened


def symmetric(
    clean_labels: Int[np.ndarray, " n"], *, rate: float, num_classes: int, rng: np.random.Generator
) -> Draw:
    """Give exactly round(rate * n) labels, chosen at random, to one of the k - 1 other classes.

    Args:
        clean_labels: class ids in [0, k).
        rate: share of labels to change, in [0, 1].
        num_classes: k.
        rng: the only source of chance.

    Raises:
        InvalidArgument: there is no other class to go to.

    Source: Han et al. 2018, arXiv:1804.06872, Section 4 (symmetry flipping); flips to the other classes, as
    in Chen, Wang et al. 2024, arXiv:2309.17002, Section 2.1.
    Differs: an exact count instead of one draw per label.
    """
    num_flips = round(rate * len(clean_labels))
    if num_flips and num_classes < 2:
        raise invalid("num_classes", num_classes, "at least 2 where labels are to change")
    rows = rng.choice(len(clean_labels), num_flips, replace=False) if num_flips else np.empty(0, np.int64)
    given = widened(clean_labels, num_classes)
    # A step of 1 to k - 1 around the circle of classes never ends where it began.
    steps = rng.integers(1, max(num_classes, 2), size=num_flips)
    given[rows] = (clean_labels[rows].astype(np.int64) + steps) % num_classes
    return Draw(given)
