r"""The spectrum of an encoder's features with its sampling uncertainty, by a bootstrap over examples.

Rows are assigned to blocks at random and each block is reduced to its Gram matrix. A bootstrap draw is then a
sum of blocks, each with its multiplicity: d x d arithmetic, independent of n. Encoders with the same examples
and the same seed are resampled together, so the variation that examples share cancels in comparisons.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from noiseproof.core.checks import check_finite, check_matrix
from noiseproof.core.errors import BadData, invalid
from noiseproof.core.rng import stream
from noiseproof.core.row_blocks import row_blocks
from noiseproof.diagnose.spectrum import (
    SpectrumAccumulator,
    entropy_nats,
    largest_ratio,
    singular_values_of_gram,
)

NUM_BLOCKS = 40
NUM_DRAWS = 200
_BLOCK_BYTES = 400e6  # of all blocks together; wide features get fewer blocks
_LEAST_BLOCKS = 16
_READ_ROWS = 4096


@dataclass(frozen=True, eq=False)
class Signature:
    """The spectrum of one encoder's features on one data set.

    Attributes:
        shares: singular values as shares of their sum, descending; one row for all examples, then one row
            per bootstrap draw.
        num_examples: n.
        seed: of the draws.
    """

    shares: Float[np.ndarray, "r d"]
    num_examples: int
    seed: int

    @property
    def dim(self) -> int:
        """Width of the features, d."""
        return self.shares.shape[1]

    @property
    def entropy_nats(self) -> float:
        """SVE of all examples (Chen et al. 2024, Definition 2.1)."""
        return entropy_nats(self.shares[0])

    @property
    def largest_ratio(self) -> float:
        """LSVR of all examples (Chen et al. 2024, Definition 2.2)."""
        return largest_ratio(self.shares[0])


def signature(
    features: Any,
    *,
    seed: int = 0,
    num_blocks: int = NUM_BLOCKS,
    num_draws: int = NUM_DRAWS,
    on_draw: Callable[[int], object] | None = None,
) -> Signature:
    """Spectra of all examples and of bootstrap draws.

    Args:
        features: (n, d) array-like that can be sliced by rows.
        seed: of blocks and draws; must be the same for encoders that are compared.
        num_blocks: blocks of rows; fewer are used if memory or n does not suffice.
        num_draws: bootstrap draws.
        on_draw: called with 1 after each draw.

    Raises:
        InvalidArgument: fewer than 2 blocks or draws.
        BadData: fewer than 2 rows, or values that are not finite or too large to be squared.

    Blocks are drawn instead of single examples; for means of blocks the variance is the same.
    """
    for name, value in (("num_blocks", num_blocks), ("num_draws", num_draws)):
        if value < 2:
            raise invalid(name, value, "a whole number >= 2")
    check_matrix(features)
    n, d = features.shape
    if n < 2:
        raise BadData(f"`features` has {n} rows; allowed: 2 or more, to resample them.")
    num_blocks = min(n, num_blocks, max(_LEAST_BLOCKS, int(_BLOCK_BYTES / (8 * d * d))))
    rng = stream(seed, "signature", n, num_blocks)
    blocks = _blocks(features, rng.permutation(np.arange(n) % num_blocks), num_blocks)
    grams = np.stack([block.gram for block in blocks])
    draws = rng.multinomial(num_blocks, np.full(num_blocks, 1 / num_blocks), size=num_draws)
    shares = np.empty((1 + num_draws, d))
    merged = SpectrumAccumulator()
    for block in blocks:
        merged.merge(block)
    whole = merged.singular_values()
    shares[0] = _shares(np.pad(whole, (0, d - len(whole))))
    for i, times in enumerate(draws, start=1):
        drawn = np.tensordot(times.astype(np.float64), grams, axes=1)
        shares[i] = _shares(singular_values_of_gram(drawn))
        if on_draw is not None:
            on_draw(1)
    return Signature(shares, n, seed)


def _blocks(features: Any, block_ids: Int[np.ndarray, " n"], num_blocks: int) -> list[SpectrumAccumulator]:
    """Accumulate the rows of every block in one pass."""
    blocks = [SpectrumAccumulator() for _ in range(num_blocks)]
    for part in row_blocks(len(features), _READ_ROWS):
        rows = np.asarray(features[part], dtype=np.float64)
        check_finite(rows, first_row=part.start)
        for number, block in enumerate(blocks):
            block.update(rows[block_ids[part] == number])
    return blocks


def _shares(singular_values: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
    """Singular values as shares of their sum."""
    return singular_values / max(singular_values.sum(), np.finfo(np.float64).tiny)
