"""Pair noise: labels go to the next class."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from noiseproof.errors import invalid
from noiseproof.noise.draw import Draw
from noiseproof.noise.transition import flip_along


def pair(
    clean_labels: Int[np.ndarray, " n"], *, rate: float, num_classes: int, rng: np.random.Generator
) -> Draw:
    """Give exactly round(rate * n) labels to the next class, the last class to the first.

    The count of every class is within one of rate * n_i.

    Args:
        clean_labels: class ids in [0, k).
        rate: share of labels to change, in [0, 1].
        num_classes: k.
        rng: the only source of chance.

    Raises:
        InvalidArgument: there is no other class to go to.

    Source: Han et al. 2018, arXiv:1804.06872, Section 4 (pair flipping).
    Differs: an exact count instead of one draw per label.
    """
    if round(rate * len(clean_labels)) and num_classes < 2:
        raise invalid("num_classes", num_classes, "at least 2 where labels are to change")
    following = np.roll(np.arange(num_classes), -1)
    return Draw(flip_along(clean_labels, following, rate=rate, rng=rng))
