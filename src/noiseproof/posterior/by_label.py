r"""Sums over the examples of each given label: no one-hot matrix, and no transition probability per example.

All examples with the given label j share the column $T_{\cdot j}$ of the transition matrix. With the rows of
one label side by side, P(given | x) is a product of matrix and vector, and the expected counts of the true
classes are another one: O(n k) for all labels together, where a product with a one-hot matrix takes O(n k^2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float, Int

_BLOCK_NUMBERS = 2**17  # numbers in one block: temporary arrays stay in the cache

Probs = Float[np.ndarray, "n k"]
Labels = Int[np.ndarray, " n"]


def label_blocks(
    values: Probs, given_labels: Labels
) -> Iterator[tuple[int, slice | Labels, Float[np.ndarray, "b k"]]]:
    """(label, rows, values of these rows) for every given label, in blocks of limited size.

    Sorted labels make views, others copies: whoever passes the same values often sorts them first.

    Args:
        values: a row per example.
        given_labels: class ids.
    """
    num_classes = values.shape[1]
    is_sorted = bool((given_labels[:-1] <= given_labels[1:]).all())
    order = None if is_sorted else np.argsort(given_labels, kind="stable")
    ends = np.cumsum(np.bincount(given_labels, minlength=num_classes))
    most = max(1, _BLOCK_NUMBERS // num_classes)
    start = 0
    for label, end in enumerate(ends.tolist()):
        for begin in range(start, end, most):
            part = slice(begin, min(begin + most, end))
            rows = part if order is None else order[part]
            yield label, rows, values[rows]
        start = end


def expected_counts(
    probs: Probs, given_labels: Labels, column: Callable[[int], Float[np.ndarray, " k"]]
) -> Float[np.ndarray, "k k"]:
    """Expected number of examples by true class (row) and given label (column).

    Args:
        probs: P(true | x).
        given_labels: class ids.
        column: given label -> its column of the transition matrix.
    """
    k = probs.shape[1]
    by_given = np.zeros((k, k))
    for label, _, block in label_blocks(probs, given_labels):
        of_label = column(label).astype(probs.dtype)
        # Once in thousands of runs the kernel of few float32 columns warned of finite numbers.
        with np.errstate(invalid="ignore"):
            by_given[label] += of_label * ((1 / (block @ of_label)) @ block)
    return by_given.T


def symmetric_column(rate: float, num_classes: int) -> Callable[[int], Float[np.ndarray, " k"]]:
    """Columns of the transition matrix of symmetric noise, for `expected_counts`."""

    def column(label: int) -> Float[np.ndarray, " k"]:
        values = np.full(num_classes, rate / (num_classes - 1))
        values[label] = 1 - rate
        return values

    return column
