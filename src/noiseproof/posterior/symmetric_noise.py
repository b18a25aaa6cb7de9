"""The transition matrix of symmetric noise."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def symmetric_transition(rate: float, num_classes: int) -> Float[np.ndarray, "k k"]:
    """1 - rate on the diagonal, the rest spread evenly over the other classes; k at least 2."""
    matrix = np.full((num_classes, num_classes), rate / (num_classes - 1))
    np.fill_diagonal(matrix, 1 - rate)
    return matrix
