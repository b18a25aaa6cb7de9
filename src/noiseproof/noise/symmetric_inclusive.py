"""Symmetric noise as released code has it: the new label may be the old one."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from noiseproof.noise.draw import Draw, widened


def symmetric_inclusive(
    clean_labels: Int[np.ndarray, " n"], *, rate: float, num_classes: int, rng: np.random.Generator
) -> Draw:
    """Draw exactly round(rate * n) labels anew, uniformly over all k classes, the true one included.

    About rate * (k - 1) / k of the labels end up wrong: compare results that were published with it by the
    realised rate.

    Args:
        clean_labels: class ids in [0, k).
        rate: share of labels to draw anew, in [0, 1].
        num_classes: k.
        rng: the only source of chance.

    Source: the released code of Chen, Wang et al. 2024, arXiv:2309.17002, for the noisy downstream sets of
    Appendix B.5.
    """
    num_drawn = round(rate * len(clean_labels))
    rows = rng.choice(len(clean_labels), num_drawn, replace=False) if num_drawn else np.empty(0, np.int64)
    given = widened(clean_labels, num_classes)
    given[rows] = rng.integers(0, num_classes, size=num_drawn)
    return Draw(given)
