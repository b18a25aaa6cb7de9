"""Columns of probabilities that are in another order than the classes: noticed, and refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from noiseproof.core.errors import BadData, quoted
from noiseproof.core.row_blocks import row_blocks

_MOST_CLASSES = 2000  # the assignment takes time of the third power
_LEAST_GAIN = 0.2  # of the mean probability of the given label
_LEAST_RATIO = 1.5
_NUM_ERRORS = 3.0  # standard errors that a chance gain may have
_BLOCK_ROWS = 8192


def check_column_order(
    probs: Any, given_labels: Int[np.ndarray, " n"], classes: Sequence[Any], name: str
) -> None:
    """Refuse a matrix without names whose columns fit the labels far better in another order.

    The best order is found on one half of the rows and judged on the other, so that chance finds none. A few
    exchanged columns among many, or labels most of which are right, never look like this.

    Args:
        probs: (n, k).
        given_labels: class ids.
        classes: k labels in order.
        name: of the argument.

    Raises:
        BadData: another order gives the given labels at least 1.5 times the probability, and 0.2 more.
    """
    n, k = probs.shape
    if not 2 <= k <= _MOST_CLASSES or not _may_be_reordered(probs, given_labels):
        return
    by_class = np.argsort(given_labels, kind="stable")
    halves = [by_class[start::2] for start in (0, 1)]  # every second example of each class
    orders = [_best_order(_sums(probs, given_labels, rows)) for rows in halves]
    as_given, reordered = np.empty(n), np.empty(n)
    for rows, order in zip(halves, reversed(orders), strict=True):
        labels = given_labels[rows]
        as_given[rows], reordered[rows] = probs[rows, labels], probs[rows, order[labels]]
    gain = reordered - as_given
    chance = _NUM_ERRORS * gain.std() / np.sqrt(n)
    if gain.mean() - chance < _LEAST_GAIN or reordered.mean() < _LEAST_RATIO * as_given.mean():
        return
    best = _best_order(_sums(probs, given_labels, np.arange(n)))
    in_order = np.argsort(best)  # the class of each column
    shown = ", ".join(str(classes[number]) for number in in_order[:12])
    expected = ", ".join(str(label) for label in classes[:12])
    raise BadData(
        f"The columns of {quoted(name)} seem to be in another order than the classes: in the order "
        f"{expected}{', ...' if k > 12 else ''} the given labels get a mean probability of "
        f"{as_given.mean():.2f}, in the order {shown}{', ...' if k > 12 else ''} {reordered.mean():.2f}. "
        "Allowed: columns in the order of the sorted classes, or with names. Next: name them (a data frame "
        "with a column for each class; `class_names` in an .npz file). If their order is right, most labels "
        "are wrong: columns with names are taken as they are."
    )


def _may_be_reordered(probs: Any, given_labels: Int[np.ndarray, " n"]) -> bool:
    """Whether any order could be so much better: none gives a label more than the largest of its row."""
    as_given = largest = 0.0
    for rows in row_blocks(len(given_labels), _BLOCK_ROWS):
        block = np.asarray(probs[rows], np.float64)
        as_given += block[np.arange(len(block)), given_labels[rows]].sum()
        largest += block.max(axis=1).sum()
    has_gain = largest - as_given >= _LEAST_GAIN * len(given_labels)
    return bool(has_gain and largest >= _LEAST_RATIO * as_given)


def _sums(
    probs: Any, given_labels: Int[np.ndarray, " n"], rows: Int[np.ndarray, " m"]
) -> Float[np.ndarray, "k k"]:
    """Sum of each column (second axis) over the rows of each given label (first axis)."""
    from scipy.sparse import csr_array

    k = probs.shape[1]
    sums = np.zeros((k, k))
    for part in row_blocks(len(rows), _BLOCK_ROWS):
        block = rows[part]
        is_given = csr_array(
            (np.ones(len(block)), (given_labels[block], np.arange(len(block)))), shape=(k, len(block))
        )
        sums += is_given @ np.asarray(probs[block], np.float64)
    return sums


def _best_order(sums: Float[np.ndarray, "k k"]) -> Int[np.ndarray, " k"]:
    """The column of each class with which the labels are most probable in total."""
    from scipy.optimize import linear_sum_assignment

    return np.asarray(linear_sum_assignment(sums, maximize=True)[1])
