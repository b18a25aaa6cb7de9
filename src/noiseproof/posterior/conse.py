"""Zero-shot vectors of images from a classifier of other classes, without training (ConSE)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def convex_combination(
    probs: Float[np.ndarray, "n c"], words: Float[np.ndarray, "c e"], *, most_classes: int | None = None
) -> Float[np.ndarray, "n e"]:
    r"""$f(x) = \sum_{j \le T} p_j s_j / \sum_{j \le T} p_j$ over the T most probable of c known classes.

    Args:
        probs: probabilities of c classes for each image, by a classifier.
        words: s, an embedding of the name of each of these classes.
        most_classes: T; `None` takes all.

    Returns:
        A vector per image in the space of the words; the nearest class name is the prediction.

    Source: Norouzi et al. 2014, arXiv:1312.5650, Eqs. 3 and 4.
    """
    if most_classes is not None and most_classes < probs.shape[1]:
        left_out = np.argpartition(probs, -most_classes, axis=1)[:, :-most_classes]
        probs = probs.copy()
        np.put_along_axis(probs, left_out, 0.0, axis=1)
    return probs @ words / probs.sum(axis=1, keepdims=True)
