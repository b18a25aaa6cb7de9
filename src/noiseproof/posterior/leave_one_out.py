r"""Exact leave-one-out predictions of a ridge head, from one factorisation.

Notation: X (n, d) features of unit length, centred; Y (n, k) one-hot given labels; F^T F = V diag(w) V^T.
The ridge prediction is R = H Y with H = X (X^T X + ridge I)^{-1} X^T + 1/n, and what the head would have
predicted for row i had it never seen it is $y_i - (y_i - r_i) / (1 - H_{ii})$: no refit, no folds.

Source: Allen 1974 (PRESS); Golub, Heath & Wahba 1979, Eq. 2.1 (leave-one-out by the hat matrix).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int

from noiseproof.lapack import one_thread

# Ridge strengths tried, in units of the mean eigenvalue of X^T X.
_STRENGTHS = np.geomspace(1e-3, 1e2, 13)
_BLOCK_NUMBERS = 2**24  # numbers in the largest temporary


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """Out-of-sample scores of every example.

    Attributes:
        scores: row i is predicted without row i; about 1 for the right class and 0 for the others.
        ridge: strength with the least leave-one-out squared error on the given labels.
    """

    scores: Float[np.ndarray, "n k"]
    ridge: float


def leave_one_out(features: Any, given_labels: Int[np.ndarray, " n"], *, num_classes: int) -> LeaveOneOut:
    """Leave-one-out scores of a ridge head whose strength is chosen by their own squared error.

    The features are read in blocks, two or three times; memory is O(d^2 + n k) beside a block.

    Args:
        features: (n, d) array-like, sliced by rows; finite.
        given_labels: class ids in [0, num_classes).
        num_classes: k.
    """
    problem = _Problem(features, given_labels, num_classes)
    errors = np.zeros(len(_STRENGTHS))
    for rows, projected in problem.blocks():
        residuals = problem.residuals(rows, projected, problem.ridges)
        errors += np.square(residuals, dtype=np.float64).sum((0, 2))
    best = problem.ridges[[int(errors.argmin())]]
    scores = np.empty((problem.n, num_classes), dtype=problem.dtype)
    for rows, projected in problem.blocks():
        scores[rows] = problem.targets(rows) - problem.residuals(rows, projected, best)[:, 0]
    return LeaveOneOut(scores, float(best[0]))


class _Problem:
    """The ridge problem in the basis of its eigenvectors, where any strength costs one product."""

    def __init__(self, features: Any, given_labels: np.ndarray, num_classes: int) -> None:
        self.features, self.given_labels = features, given_labels
        self.n = len(given_labels)
        self.dtype = np.result_type(np.asarray(features[:1]).dtype, np.float32)
        self.class_part = np.bincount(given_labels, minlength=num_classes) / self.n
        gram, moments, self.mean = self._moments(num_classes)
        # In float32 half the time. An eigenvalue is then off by 6e-8 of the largest, which is d of the mean
        # at most, and the least strength is 1e-3 of the mean.
        with one_thread():
            eigenvalues, self.vectors = scipy.linalg.eigh(
                gram.astype(self.dtype), check_finite=False, driver="evd"
            )
        self.eigenvalues = np.maximum(eigenvalues, 0.0).astype(np.float64)
        self.projected_targets = self.vectors.T @ moments  # (d, k)
        # Features that are all alike have no scale; any strength then says the same.
        self.ridges = _STRENGTHS * (self.eigenvalues.mean() or 1.0)
        self._whole: np.ndarray | None = None

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Rows and their coordinates in the eigenvectors; those of few rows are computed once."""
        if self._whole is not None:
            yield slice(0, self.n), self._whole
            return
        width = max(len(_STRENGTHS) * len(self.class_part), self.features.shape[1])
        num_rows = max(256, _BLOCK_NUMBERS // width)
        for rows, x in self._unit_rows(num_rows):
            projected = (x - self.mean.astype(self.dtype)) @ self.vectors
            if len(projected) == self.n:
                self._whole = projected
            yield rows, projected

    def targets(self, rows: slice) -> np.ndarray:
        """One-hot given labels of these rows."""
        return np.eye(len(self.class_part), dtype=self.dtype)[self.given_labels[rows]]

    def residuals(self, rows: slice, projected: np.ndarray, ridges: np.ndarray) -> np.ndarray:
        """Leave-one-out residuals (y_i - r_i) / (1 - H_ii), (b, strengths, k), in two products for all."""
        shrink = 1.0 / (self.eigenvalues[:, None] + ridges)  # (d, strengths)
        weights = shrink[:, :, None] * self.projected_targets[:, None]
        predicted = projected @ weights.reshape(len(shrink), -1).astype(self.dtype)
        leverage = np.square(projected) @ shrink.astype(self.dtype) + 1.0 / self.n
        free = np.maximum(1.0 - leverage, 1e-6)[:, :, None]
        wanted = (self.targets(rows) - self.class_part)[:, None]
        return ((wanted - predicted.reshape(len(projected), len(ridges), -1)) / free).astype(self.dtype)

    def _moments(self, num_classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """X^T X and X^T Y of the centred unit rows, and their mean, accumulated in float64."""
        d = self.features.shape[1]
        gram, sums = np.zeros((d, d)), np.zeros((num_classes, d))
        for rows, x in self._unit_rows(8192):
            x = x.astype(np.float64)
            gram += x.T @ x
            np.add.at(sums, self.given_labels[rows], x)
        mean = sums.sum(0) / self.n
        gram -= self.n * np.outer(mean, mean)
        counts = self.n * self.class_part
        return gram, (sums - counts[:, None] * mean).T, mean

    def _unit_rows(self, num_rows: int) -> Iterator[tuple[slice, np.ndarray]]:
        for start in range(0, self.n, num_rows):
            rows = slice(start, min(start + num_rows, self.n))
            x = np.asarray(self.features[rows], dtype=self.dtype)
            length = np.linalg.norm(x, axis=1, keepdims=True)
            yield rows, x / np.where(length > 0, length, 1)
