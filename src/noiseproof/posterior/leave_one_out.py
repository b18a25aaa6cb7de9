r"""Exact leave-one-out predictions of a ridge head, from one factorisation.

Notation: X (n, d) features of unit length, centred; Y (n, k) one-hot given labels; G = X^T X. The ridge
prediction is R = H Y with H = X (G + ridge I)^{-1} X^T + 1/n, and what the head would have predicted for row
i had it never seen it is $y_i - (y_i - r_i) / (1 - H_{ii})$: no refit, no folds. With G + ridge I = L L^T,
the columns of L^{-1} X^T hold all of it: their squared lengths are the leverages, their products with
L^{-1} X^T Y the predictions.

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

_BLOCK_NUMBERS = 2**24  # numbers in the largest temporary
_ROUNDINGS = 4
_LEAST_FREE = 1e-6  # 1 - H_ii of a row that the head knows by heart


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """Out-of-sample scores of every example.

    Attributes:
        scores: row i is predicted without row i; about 1 for the right class and 0 for the others.
        ridge: strength with the least generalised cross-validation error on the given labels.
    """

    scores: Float[np.ndarray, "n k"]
    ridge: float


def leave_one_out(features: Any, given_labels: Int[np.ndarray, " n"], *, num_classes: int) -> LeaveOneOut:
    """Leave-one-out scores of a ridge head whose strength is chosen by cross-validation, too.

    The features are read in blocks, twice; memory is O(d^2 + n k) beside a block. Where n <= d they are read
    at once.

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
    """float32 or wider."""
    return np.result_type(np.asarray(features[:1]).dtype, np.float32)


def _in_their_span(features: Any) -> Float[np.ndarray, "n n"]:
    """Few rows in a basis of what they span, in float64: the same problem, without the other directions.

    In those there is nothing to be fitted, but their rounding would count as fit.
    """
    columns = np.asarray(features[:], dtype=np.float64).T
    return scipy.linalg.qr(columns, mode="r", check_finite=False)[0][: columns.shape[1]].T


class _Problem:
    """The ridge problem in the coordinates of L^{-1}, where a row is as long as its leverage."""

    def __init__(self, features: Any, given_labels: np.ndarray, num_classes: int, rounding: float) -> None:
        self.features, self.given_labels = features, given_labels
        self.n, self.dtype = len(given_labels), _type_of(features)
        self.class_part = np.bincount(given_labels, minlength=num_classes) / self.n
        gram, moments, self.mean = self._moments()
        if np.trace(gram) < self.n * (_ROUNDINGS * rounding) ** 2:
            # Rows of unit length that differ by rounding are alike.
            gram[:], moments[:] = 0, 0
        total = self.n * float((self.class_part * (1 - self.class_part)).sum())
        self.ridge = best_ridge(gram, moments, num_examples=self.n, total=total)
        gram[np.diag_indices_from(gram)] += self.ridge
        with one_thread():
            self.lower = scipy.linalg.cholesky(gram, lower=True, overwrite_a=True, check_finite=False)
        self.head = self._coordinates(moments)

    def scores(self) -> Float[np.ndarray, "n k"]:
        """y_i - (y_i - r_i) / (1 - H_ii)."""
        scores = np.empty((self.n, len(self.class_part)), self.dtype)
        for rows, x in self._unit_rows():
            reach = self._coordinates((x - self.mean).T)
            leverage = np.einsum("dn,dn->n", reach, reach) + 1 / self.n
            targets = self._targets(rows)
            residuals = targets - self.class_part - reach.T @ self.head
            scores[rows] = targets - residuals / np.maximum(1 - leverage, _LEAST_FREE)[:, None]
        return scores

    def _coordinates(self, columns: np.ndarray) -> np.ndarray:
        return scipy.linalg.solve_triangular(self.lower, columns, lower=True, check_finite=False)

    def _targets(self, rows: slice) -> np.ndarray:
        return np.eye(len(self.class_part), dtype=self.dtype)[self.given_labels[rows]]

    def _moments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """X^T X and X^T Y of the centred unit rows, and their mean.

        Rows lose the mean of the first block before they are multiplied, so that little is left to subtract
        from the products, which are in the type of the features: float32 takes half the time.
        """
        d = self.features.shape[1]
        gram, moments = np.zeros((d, d), self.dtype), np.zeros((d, len(self.class_part)), self.dtype)
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
        moments -= np.outer(self.n * mean, self.class_part)
        return gram, moments, shift + mean

    def _unit_rows(self) -> Iterator[tuple[slice, np.ndarray]]:
        num_rows = max(256, _BLOCK_NUMBERS // max(self.features.shape[1], len(self.class_part)))
        for start in range(0, self.n, num_rows):
            rows = slice(start, min(start + num_rows, self.n))
            x = np.asarray(self.features[rows], dtype=self.dtype, order="C")
            length = np.linalg.norm(x, axis=1, keepdims=True)
            yield rows, x / np.where(length > 0, length, 1)
