"""Rows scaled to unit length, whatever the size of their numbers."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def unit_length(rows: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "m d"]:
    """Rows divided by their lengths; a row of zeros stays.

    The squares of very small or large numbers leave the range of floats. Rows of such are divided by their
    largest number first; the result for other rows does not depend on the rows beside them.
    """
    with np.errstate(over="ignore", under="ignore"):
        length = np.linalg.norm(rows, axis=1, keepdims=True)
    extreme = ~((length[:, 0] > np.sqrt(np.finfo(rows.dtype).tiny)) & np.isfinite(length[:, 0]))
    if extreme.any():
        rows = rows.copy()
        largest = np.abs(rows[extreme]).max(axis=1, keepdims=True, initial=0)
        rows[extreme] /= np.where(largest > 0, largest, 1)
        length[extreme] = np.linalg.norm(rows[extreme], axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1)
