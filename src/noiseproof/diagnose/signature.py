r"""What a spectrum says, with how sure it is: statistics of features under resampling of the examples.

The rows are dealt at random into blocks and each block is reduced to its Gram matrix. A bootstrap draw is
then a sum of blocks, some several times and some not at all: d x d arithmetic, whatever n is. Encoders that
see the same examples and draw with the same seed are resampled together, so that what is common to the
examples cancels when they are compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int

from noiseproof.diagnose.spectrum import entropy_nats, largest_ratio
from noiseproof.errors import BadData, invalid
from noiseproof.lapack import one_thread
from noiseproof.records import check_finite, check_matrix
from noiseproof.rng import stream

STATISTICS = ("SVE", "LSVR", "centred SVE", "centred LSVR")
NUM_BLOCKS = 40
NUM_DRAWS = 200
_BLOCK_BYTES = 400e6  # all blocks together; wide features get fewer of them
_LEAST_BLOCKS = 16
_READ_ROWS = 4096


@dataclass(frozen=True, eq=False)
class Signature:
    """The statistics of one encoder's features on one data set.

    Attributes:
        values: a row of `STATISTICS` for all examples, then one for every bootstrap draw.
        shares: singular values as shares of their sum, raw and centred, each descending.
        num_examples: n.
        dim: d.
        seed: of the draws.
    """

    values: Float[np.ndarray, "r s"]
    shares: Float[np.ndarray, "2 d"]
    num_examples: int
    dim: int
    seed: int

    @property
    def whole(self) -> Float[np.ndarray, " s"]:
        """Statistics of all examples."""
        return self.values[0]


def signature(
    features: Any,
    *,
    seed: int = 0,
    num_blocks: int = NUM_BLOCKS,
    num_draws: int = NUM_DRAWS,
    on_draw: Callable[[int], object] | None = None,
) -> Signature:
    """SVE and LSVR, raw and centred, of all examples and of bootstrap draws.

    Args:
        features: (n, d) array-like that can be sliced by rows.
        seed: of blocks and draws; encoders to be compared need the same.
        num_blocks: of rows; fewer are used where they would not fit in memory or n is smaller.
        num_draws: of the bootstrap.
        on_draw: called with 1 after each.

    Raises:
        InvalidArgument: fewer than 2 blocks or draws.
        BadData: fewer than 2 examples, NaN or infinity (the row is named).

    Source: Efron 1979 (bootstrap); Chen, Wang et al. 2024, arXiv:2309.17002, Eqs. 1 and 2 (SVE, LSVR).
    Differs: blocks of examples are drawn, not single ones; for means of blocks the variance is the same.
    """
    for name, value in (("num_blocks", num_blocks), ("num_draws", num_draws)):
        if value < 2:
            raise invalid(name, value, "a whole number >= 2")
    check_matrix(features)
    n, d = features.shape
    if n < 2:
        raise BadData(f"`features` has {n} rows; allowed: 2 or more, since examples are resampled.")
    num_blocks = min(n, num_blocks, max(_LEAST_BLOCKS, int(_BLOCK_BYTES / (8 * d * d))))
    rng = stream(seed, "signature", n, num_blocks)
    grams, sums, counts = _blocks(features, rng.permutation(np.arange(n) % num_blocks), num_blocks)
    draws = rng.multinomial(num_blocks, np.full(num_blocks, 1 / num_blocks), size=num_draws)
    values = np.empty((1 + num_draws, len(STATISTICS)))
    shares = _shares(np.ones(num_blocks), grams, sums, counts)
    values[0] = _statistics(shares)
    for i, weights in enumerate(draws, start=1):
        values[i] = _statistics(_shares(weights.astype(np.float64), grams, sums, counts))
        if on_draw is not None:
            on_draw(1)
    return Signature(values, shares, n, d, seed)


def _blocks(
    features: Any, homes: Int[np.ndarray, " n"], num_blocks: int
) -> tuple[Float[np.ndarray, "B d d"], Float[np.ndarray, "B d"], Int[np.ndarray, " B"]]:
    """Gram matrix, sum and number of the rows of every block, read in order."""
    n, d = features.shape
    grams, sums = np.zeros((num_blocks, d, d)), np.zeros((num_blocks, d))
    for start in range(0, n, _READ_ROWS):
        rows = np.asarray(features[start : start + _READ_ROWS], dtype=np.float64)
        check_finite(rows, first_row=start)
        homes_here = homes[start : start + _READ_ROWS]
        for block in range(num_blocks):
            own = rows[homes_here == block]
            grams[block] += own.T @ own
            sums[block] += own.sum(axis=0)
    return grams, sums, np.bincount(homes, minlength=num_blocks)


def _shares(
    weights: Float[np.ndarray, " B"],
    grams: Float[np.ndarray, "B d d"],
    sums: Float[np.ndarray, "B d"],
    counts: Int[np.ndarray, " B"],
) -> Float[np.ndarray, "2 d"]:
    """Singular values as shares of their sum, raw and centred, of the blocks taken so many times."""
    gram = np.tensordot(weights, grams, axes=1)
    total = weights @ sums
    shares = np.zeros((2, len(total)))
    with one_thread():
        for i, matrix in enumerate((gram, gram - np.outer(total, total) / (weights @ counts))):
            eigenvalues = scipy.linalg.eigvalsh(matrix, check_finite=False)[::-1]
            # A dead feature or the direction of the mean is zero up to rounding, which a root would magnify.
            tiny = max(eigenvalues[0], 0.0) * len(total) * np.finfo(np.float64).eps
            values = np.sqrt(np.where(eigenvalues > tiny, eigenvalues, 0.0))
            shares[i] = values / max(values.sum(), np.finfo(np.float64).tiny)
    return shares


def _statistics(shares: Float[np.ndarray, "2 d"]) -> list[float]:
    return [statistic(each) for each in shares for statistic in (entropy_nats, largest_ratio)]
