"""Confident learning: a label is an issue if the example is confidently of another class.

Source: Northcutt, Jiang & Chuang 2021, arXiv:1911.00068, Section 3.
Differs: probabilities (`pred_probs` in cleanlab) are read in blocks of rows, so memory beside them is
O(k^2 + n).
Differs from cleanlab's `find_label_issues(filter_by="confident_learning")` in one case: where the most
probable class is below its threshold and several others reach theirs, Eq. 1 takes the most probable of
these, cleanlab the most probable of all. All other flags are the same, which a test compares.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from noiseproof.core.row_blocks import row_blocks
from noiseproof.detect.detector_result import DetectorResult, result_from_decision
from noiseproof.detect.evidence import Evidence

_BLOCK_NUMBERS = 2**22  # probabilities in one block
_TIE = 1e-6  # tolerance of thresholds and leads, as in cleanlab

Labels = Int[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Confidence:
    """Confident classes of n examples.

    Attributes:
        preferred: the most probable class.
        confident: the class that the example confidently belongs to; -1 for none.
        of_given: probability of the given label (self-confidence).
        is_beaten: whether another class is more probable than the given one.
    """

    preferred: Labels
    confident: Labels
    of_given: Float[np.ndarray, " n"]
    is_beaten: np.ndarray


def confident_learning_detector(evidence: Evidence) -> DetectorResult:
    """Suspicion is one minus the self-confidence, the probability of the given label."""
    method = "confident_learning"
    probs, given = evidence.out_of_sample_probs(method), evidence.given_labels
    found = confidence(probs, given)
    is_issue = (found.confident >= 0) & (found.confident != given) & found.is_beaten
    result = result_from_decision(
        np.clip(1.0 - found.of_given, 0.0, 1.0), is_issue,
        np.where(is_issue, found.confident, found.preferred), given,
        num_classes=evidence.num_classes, method=method,
        probs=probs if isinstance(probs, np.ndarray) else None,
    )  # fmt: skip
    counts = confident_joint(found, given, num_classes=evidence.num_classes)
    return replace(result, joint=calibrated_joint(counts, given).T * len(given))


def confidence(probs: Any, given_labels: Labels) -> Confidence:
    """Confident class of each example, in two passes over the rows: thresholds, then classes above them.

    An example is confidently of class j if p_j is at least the mean of p_j over the examples with the given
    label j; if several classes reach their threshold, the most probable of these counts.

    Args:
        probs: (n, k) array-like, out-of-sample (`pred_probs`); sliced by rows.
        given_labels: class ids.

    Source: Northcutt, Jiang & Chuang 2021, arXiv:1911.00068, Eqs. 1 and 2.
    Differs: no example is confidently of a class with only one given label.
    """
    n = len(given_labels)
    preferred, confident = np.empty(n, np.int64), np.empty(n, np.int64)
    of_given, is_beaten = np.empty(n), np.empty(n, bool)
    lowest = class_thresholds(probs, given_labels) - _TIE
    for rows, block in _blocks(probs):
        local = np.arange(len(block))
        best, given = block.argmax(1), block[local, given_labels[rows]].astype(np.float64)
        top = block[local, best].astype(np.float64)
        found = np.where(top >= lowest[best], best, -1)
        rest = np.flatnonzero(found < 0)  # few: usually the most probable class reaches its threshold
        reached = np.where(block[rest] >= lowest, block[rest], -np.inf)
        found[rest] = np.where(reached.max(1) > -np.inf, reached.argmax(1), -1)
        preferred[rows], confident[rows], of_given[rows] = best, found, given
        is_beaten[rows] = top > given + _TIE
    return Confidence(preferred, confident, of_given, is_beaten)


def class_thresholds(probs: Any, given_labels: Labels) -> Float[np.ndarray, " k"]:
    """Mean probability of each class over its given labels; infinite for a class with fewer than two.

    Out of sample, a class with a single example gets a low probability there, a threshold that all others
    reach.
    """
    k = probs.shape[1]
    sums, counts = np.zeros(k), np.bincount(given_labels, minlength=k)
    for rows, block in _blocks(probs):
        given = given_labels[rows]
        sums += np.bincount(given, weights=block[np.arange(len(given)), given], minlength=k)
    return np.where(counts > 1, sums / np.maximum(counts, 1), np.inf)


def confident_joint(found: Confidence, given_labels: Labels, *, num_classes: int) -> Int[np.ndarray, "k k"]:
    """Counts C[i, j] of examples with the given label i that are confidently of class j.

    The diagonal is at least 1.
    """
    counts = np.zeros((num_classes, num_classes), np.int64)
    is_sure = found.confident >= 0
    np.add.at(counts, (given_labels[is_sure], found.confident[is_sure]), 1)
    np.fill_diagonal(counts, np.maximum(counts.diagonal(), 1))
    return counts


def calibrated_joint(counts: Int[np.ndarray, "k k"], given_labels: Labels) -> Float[np.ndarray, "k k"]:
    """Joint distribution of given label (row) and true class (column), scaled to the shares of given labels.

    Source: Northcutt, Jiang & Chuang 2021, arXiv:1911.00068, Eq. 3.
    """
    shares = np.bincount(given_labels, minlength=len(counts)) / len(given_labels)
    return counts / counts.sum(axis=1, keepdims=True) * shares[:, None]


def confident_rate(found: Confidence, given_labels: Labels) -> float:
    """Share of wrong labels by `calibrated_joint`, without its k x k numbers, in [0, 1]."""
    of_label = np.bincount(given_labels)
    is_sure, is_own = found.confident >= 0, found.confident == given_labels
    sure, own = (np.bincount(given_labels[which], minlength=len(of_label)) for which in (is_sure, is_own))
    # The diagonal is at least 1.
    sure, own = sure + (own == 0), np.maximum(own, 1)
    return float(np.clip(1 - (of_label * own / sure).sum() / len(given_labels), 0.0, 1.0))


def _blocks(probs: Any) -> Iterator[tuple[slice, np.ndarray]]:
    num_rows = max(256, _BLOCK_NUMBERS // probs.shape[1])
    for rows in row_blocks(len(probs), num_rows):
        yield rows, np.asarray(probs[rows])
