r"""Moments and strength of a ridge head in which copies of an example count once.

Notation: X (n, d) rows of unit length, centred; w (n) weights, one over the number of copies of the example;
Y (n, k) shares of the given labels among the copies, one-hot where there is no copy; $G = X^T W X$.

Source: Golub, Heath & Wahba 1979. Differs: weights; an unpenalised intercept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse
from jaxtyping import Float, Int

from noiseproof.core.row_blocks import row_blocks
from noiseproof.core.threads import one_thread
from noiseproof.posterior.ridge_strength import best_ridge

_BLOCK_NUMBERS = 2**20  # numbers in the largest temporary array
_ROUNDINGS = 4


class RidgeProblem:
    """The ridge problem in the coordinates of L^{-1}, where the squared length of a row is its leverage.

    Attributes:
        ridge: strength with the least generalised cross-validation error.
        error: that error, per example.
        targets: Y, sparse.
        num_examples: copies count once.
        class_shares: mean of Y.
        mean: of the rows.
        head: coordinates of the head.
    """

    def __init__(
        self,
        rows: Any,
        given_labels: Int[np.ndarray, " n"],
        num_classes: int,
        *,
        rounding: float,
        groups: Int[np.ndarray, " n"] | None = None,
    ) -> None:
        """Compute the moments and choose the strength.

        Args:
            rows: (n, d) of unit length, sliced.
            given_labels: class ids.
            num_classes: k.
            rounding: of the features.
            groups: number of the group of copies that each example belongs to; `None` without copies.
        """
        self.rows, self.dtype = rows, rows.dtype
        self.targets, self.weights = _targets(given_labels, num_classes, groups, rows.dtype)
        self.num_examples = float(self.weights.sum())
        self.class_shares = np.asarray(self.targets.T @ self.weights) / self.num_examples
        gram, moments, self.mean = self._moments()
        if np.trace(gram) < self.num_examples * (_ROUNDINGS * rounding) ** 2:
            # Rows of unit length that differ only by rounding count as equal.
            gram[:], moments[:] = 0, 0
        squares = float(np.asarray(self.targets.multiply(self.targets).sum(axis=1)).ravel() @ self.weights)
        total = squares - self.num_examples * float(np.square(self.class_shares).sum())
        self.ridge, self.error = best_ridge(gram, moments, num_examples=self.num_examples, total=total)
        gram[np.diag_indices_from(gram)] += self.ridge
        with one_thread():
            self._lower = scipy.linalg.cholesky(gram, lower=True, overwrite_a=True, check_finite=False)
        self.head = self.coordinates(moments)

    def coordinates(self, columns: Float[np.ndarray, "d m"]) -> Float[np.ndarray, "d m"]:
        """L^{-1} of these columns."""
        return scipy.linalg.solve_triangular(self._lower, columns, lower=True, check_finite=False)

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Rows in blocks of limited size, also with k columns."""
        n, d = self.rows.shape
        num_rows = max(256, _BLOCK_NUMBERS // max(d, len(self.class_shares)))
        for part in row_blocks(n, num_rows):
            yield part, self.rows[part]

    def _moments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """X^T W X and X^T W Y of the centred rows, and their mean.

        The mean of the first block is subtracted before the products, so that centring them afterwards loses
        little precision even in float32, which takes half the time.
        """
        d, k = self.rows.shape[1], len(self.class_shares)
        gram, moments = np.zeros((d, d), self.dtype), np.zeros((k, d), self.dtype)
        shift, sums = np.zeros(d, self.dtype), np.zeros(d)
        for part, block in self.blocks():
            if part.start == 0:
                shift = block.mean(axis=0)
            x = block - shift
            weighted = x * self.weights[part, None].astype(self.dtype)
            gram += weighted.T @ x
            moments += self.targets[part].T @ weighted
            sums += weighted.sum(axis=0, dtype=np.float64)
        mean = (sums / self.num_examples).astype(self.dtype)
        gram -= np.outer(self.num_examples * mean, mean)
        moments -= np.outer(self.class_shares.astype(self.dtype), self.num_examples * mean)
        return gram, np.ascontiguousarray(moments.T), shift + mean


def _targets(
    given_labels: np.ndarray, num_classes: int, groups: np.ndarray | None, dtype: np.dtype[Any]
) -> tuple[scipy.sparse.csr_array, Float[np.ndarray, " n"]]:
    """Shares of the labels among the copies of each example, and the weights of the examples."""
    n = len(given_labels)
    one_hot = scipy.sparse.csr_array(
        (np.ones(n, dtype), given_labels, np.arange(n + 1)), shape=(n, num_classes)
    )
    if groups is None:
        return one_hot, np.ones(n)
    weights = 1.0 / np.bincount(groups)[groups]
    members = scipy.sparse.csr_array(
        (weights.astype(dtype), (groups, np.arange(n))), shape=(int(groups.max()) + 1, n)
    )
    return scipy.sparse.csr_array(members @ one_hot)[groups], weights
