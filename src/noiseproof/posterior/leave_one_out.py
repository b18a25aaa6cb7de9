r"""Exact leave-one-out predictions of a ridge head, from one factorisation.

Notation: X (n, d) rows of unit length (`posterior.ridge_rows`), centred; Y (n, k) one-hot given labels;
G = X^T X. The ridge prediction is R = H Y with H = X (G + ridge I)^{-1} X^T + 1/n, and the prediction for
row i of a head fitted without row i is $y_i - (y_i - r_i) / (1 - H_{ii})$: no refit, no folds. With
G + ridge I = L L^T, the columns of L^{-1} X^T are sufficient: their squared lengths are the leverages, their
products with L^{-1} X^T Y the predictions.

Copies of an example are left out together: they enter as one example with the mean of their labels as its
target (`posterior.ridge_problem`), so the prediction for each of them comes from a head that saw none.

Source: Allen 1974 (PRESS); Golub, Heath & Wahba 1979, Eq. 2.1 (leave-one-out by the hat matrix).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int

from noiseproof.posterior.ridge_problem import RidgeProblem
from noiseproof.posterior.ridge_rows import DirectionRows, KernelRows, PositionRows, Rows, row_type

_LEAST_FREE = 1e-6  # bound of 1 - H_ii, for a row that the head memorises
# Rows of another kind are taken if their error is below this share of that of directions. The errors of
# encoders differ by 3 % at most, and where lengths matter they fall to a third (dev/LOG.md).
_LEAST_BETTER = 0.9
_MOST_COMPARED = 3000  # examples that choose the kind of rows
_MOST_FOR_KERNEL = 16  # columns of the features
_LEAST_FOR_ROOTS = 64  # columns: encoders have more, measured quantities fewer


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """Out-of-sample scores of every example.

    Attributes:
        scores: row i is predicted without row i and its copies; about 1 for the correct class and 0 for the
            others.
        ridge: strength with the least generalised cross-validation error on the given labels.
        rows: what the head saw of the features.
    """

    scores: Float[np.ndarray, "n k"]
    ridge: float
    rows: Rows


def leave_one_out(
    features: Any,
    given_labels: Int[np.ndarray, " n"],
    *,
    num_classes: int,
    groups: Int[np.ndarray, " n"] | None = None,
    rows: Rows | None = None,
) -> LeaveOneOut:
    """Leave-one-out scores of a ridge head whose strength is chosen by generalised cross-validation.

    The features are read twice in blocks; memory beside a block is O(d^2 + n k). If n <= d they are read at
    once.

    Args:
        features: (n, d) array-like, sliced by rows; finite.
        given_labels: class ids in [0, num_classes).
        num_classes: k.
        groups: group number of each example, the same for copies of one example; `None` without copies.
        rows: what the head sees of the features; `choose_rows` by default.
    """
    rows = rows or choose_rows(features, given_labels, num_classes=num_classes)
    problem = _problem(rows, given_labels, num_classes, features, groups)
    return LeaveOneOut(_scores(problem), problem.ridge, rows)


def choose_rows(features: Any, given_labels: Int[np.ndarray, " n"], *, num_classes: int) -> Rows:
    """The kind of rows with the least generalised cross-validation error on the given labels.

    Directions are kept unless another kind is clearly better. At most 3,000 evenly spaced examples are
    compared.
    """
    step = -(-len(given_labels) // _MOST_COMPARED)
    some, labels = np.asarray(features[::step]), given_labels[::step]
    use_roots = some.shape[1] >= _LEAST_FOR_ROOTS and bool((some >= 0).all())
    direction: Callable[[Any], Rows] = partial(DirectionRows, use_roots=use_roots)
    kinds: list[Callable[[Any], Rows]] = [PositionRows]
    if some.shape[1] <= _MOST_FOR_KERNEL:
        kinds.append(KernelRows)

    def error(kind: Callable[[Any], Rows]) -> float:
        return _problem(kind(some), labels, num_classes, some, None).error

    least, best = min(((error(kind), kind) for kind in kinds), key=itemgetter(0))
    return best(features) if least < _LEAST_BETTER * error(direction) else direction(features)


def _problem(
    rows: Rows, given_labels: np.ndarray, num_classes: int, features: Any, groups: np.ndarray | None
) -> RidgeProblem:
    rounding = float(np.finfo(row_type(features)).eps)
    seen = _in_their_span(rows) if len(given_labels) <= rows.shape[1] else rows
    return RidgeProblem(seen, given_labels, num_classes, rounding=rounding, groups=groups)


def _in_their_span(rows: Rows) -> Float[np.ndarray, "n n"]:
    """Rows in a basis of the space that they span, in float64, for n <= d.

    The problem stays the same; in other directions rounding errors would be fitted.
    """
    columns = np.asarray(rows[:], dtype=np.float64).T
    return scipy.linalg.qr(columns, mode="r", check_finite=False)[0][: columns.shape[1]].T


def _scores(problem: RidgeProblem) -> Float[np.ndarray, "n k"]:
    """Leave-one-out predictions: y - (y - r) / (1 - h) = r + (r - y) h / (1 - h)."""
    n, k = problem.rows.shape[0], len(problem.class_shares)
    scores = np.empty((n, k), row_type(problem.rows))
    shares = problem.class_shares.astype(problem.dtype)
    for part, block in problem.blocks():
        coordinates = problem.coordinates((block - problem.mean).T)
        leverage = np.einsum("dn,dn->n", coordinates, coordinates) + 1 / problem.num_examples
        odds = leverage / np.maximum(1 - leverage, _LEAST_FREE)
        found = coordinates.T @ problem.head
        found += shares
        found *= (1 + odds)[:, None]
        targets = problem.targets[part].tocoo()
        found[targets.row, targets.col] -= odds[targets.row] * targets.data
        scores[part] = found
    return scores
