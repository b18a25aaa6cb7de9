r"""Exact leave-one-out predictions of a ridge head, from one factorisation.

Notation: X (n, d) features of unit length, centred; Y (n, k) one-hot given labels; G = X^T X. The ridge
prediction is R = H Y with H = X (G + ridge I)^{-1} X^T + 1/n, and the prediction for row i of a head fitted
without row i is $y_i - (y_i - r_i) / (1 - H_{ii})$: no refit, no folds. With G + ridge I = L L^T, the columns
of L^{-1} X^T are sufficient: their squared lengths are the leverages, their products with L^{-1} X^T Y the
predictions.

Source: Allen 1974 (PRESS); Golub, Heath & Wahba 1979, Eq. 2.1 (leave-one-out by the hat matrix).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int

from noiseproof.core.threads import one_thread
from noiseproof.posterior.ridge_strength import best_ridge

_BLOCK_NUMBERS = 2**24  # numbers in the largest temporary array
_ROUNDINGS = 4
_LEAST_FREE = 1e-6  # bound of 1 - H_ii, for a row that the head memorises


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """Out-of-sample scores of every example.

    Attributes:
        scores: row i is predicted without row i; about 1 for the correct class and 0 for the others.
        ridge: strength with the least generalised cross-validation error on the given labels.
    """

    scores: Float[np.ndarray, "n k"]
    ridge: float


def leave_one_out(features: Any, given_labels: Int[np.ndarray, " n"], *, num_classes: int) -> LeaveOneOut:
    """Leave-one-out scores of a ridge head whose strength is chosen by generalised cross-validation.

    The features are read twice in blocks; memory beside a block is O(d^2 + n k). If n <= d they are read at
    once.

    Args:
        features: (n, d) array-like, sliced by rows; finite.
        given_labels: class ids in [0, num_classes).
        num_classes: k.
    """
    rounding = float(np.finfo(_type_of(features)).eps)
    if len(given_labels) <= features.shape[1]:
        features = _in_their_span(features)
    problem = _Problem(features, given_labels, num_classes, rounding)
    return LeaveOneOut(problem.scores(), problem.ridge)


def _type_of(features: Any) -> np.dtype[Any]:
    """The type of the features, at least float32."""
    return np.result_type(np.asarray(features[:1]).dtype, np.float32)


def _in_their_span(features: Any) -> Float[np.ndarray, "n n"]:
    """Features in a basis of the row space, in float64, for n <= d.

    The problem stays the same; in other directions rounding errors would be fitted.
    """
    columns = np.asarray(features[:], dtype=np.float64).T
    return scipy.linalg.qr(columns, mode="r", check_finite=False)[0][: columns.shape[1]].T


class _Problem:
    """The ridge problem in the coordinates of L^{-1}, where the squared length of a row is its leverage."""

    def __init__(self, features: Any, given_labels: np.ndarray, num_classes: int, rounding: float) -> None:
        self.features, self.given_labels = features, given_labels
        self.n, self.dtype = len(given_labels), _type_of(features)
        self.class_shares = np.bincount(given_labels, minlength=num_classes) / self.n
        gram, moments, self.mean = self._moments()
        if np.trace(gram) < self.n * (_ROUNDINGS * rounding) ** 2:
            # Rows of unit length that differ only by rounding count as equal.
            gram[:], moments[:] = 0, 0
        total = self.n * float((self.class_shares * (1 - self.class_shares)).sum())
        self.ridge = best_ridge(gram, moments, num_examples=self.n, total=total)
        gram[np.diag_indices_from(gram)] += self.ridge
        with one_thread():
            self.lower = scipy.linalg.cholesky(gram, lower=True, overwrite_a=True, check_finite=False)
        self.head = self._coordinates(moments)

    def scores(self) -> Float[np.ndarray, "n k"]:
        """Leave-one-out predictions, y_i - (y_i - r_i) / (1 - H_ii)."""
        scores = np.empty((self.n, len(self.class_shares)), self.dtype)
        for rows, x in self._unit_rows():
            coordinates = self._coordinates((x - self.mean).T)
            leverage = np.einsum("dn,dn->n", coordinates, coordinates) + 1 / self.n
            targets = self._targets(rows)
            residuals = targets - self.class_shares - coordinates.T @ self.head
            scores[rows] = targets - residuals / np.maximum(1 - leverage, _LEAST_FREE)[:, None]
        return scores

    def _coordinates(self, columns: np.ndarray) -> np.ndarray:
        return scipy.linalg.solve_triangular(self.lower, columns, lower=True, check_finite=False)

    def _targets(self, rows: slice) -> np.ndarray:
        return np.eye(len(self.class_shares), dtype=self.dtype)[self.given_labels[rows]]

    def _moments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """X^T X and X^T Y of the centred unit rows, and their mean.

        The mean of the first block is subtracted before the products, so that centring them afterwards loses
        little precision even in float32, which takes half the time.
        """
        d = self.features.shape[1]
        gram, moments = np.zeros((d, d), self.dtype), np.zeros((d, len(self.class_shares)), self.dtype)
        shift, sums = np.zeros(d, self.dtype), np.zeros(d)
        for rows, x in self._unit_rows():
            if rows.start == 0:
                shift = x.mean(axis=0)
            x -= shift
            gram += x.T @ x
            moments += x.T @ self._targets(rows)
            sums += x.sum(axis=0, dtype=np.float64)
        mean = (sums / self.n).astype(self.dtype)
        gram -= np.outer(self.n * mean, mean)
        moments -= np.outer(self.n * mean, self.class_shares)
        return gram, moments, shift + mean

    def _unit_rows(self) -> Iterator[tuple[slice, np.ndarray]]:
        num_rows = max(256, _BLOCK_NUMBERS // max(self.features.shape[1], len(self.class_shares)))
        for start in range(0, self.n, num_rows):
            rows = slice(start, min(start + num_rows, self.n))
            x = np.asarray(self.features[rows], dtype=self.dtype, order="C")
            length = np.linalg.norm(x, axis=1, keepdims=True)
            yield rows, x / np.where(length > 0, length, 1)
