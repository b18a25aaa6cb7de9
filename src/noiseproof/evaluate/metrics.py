"""Metrics of class probabilities, overall and per class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its parts are loaded when they are first used
from jaxtyping import Float, Int

from noiseproof.core.checks import check_finite, check_label_range
from noiseproof.core.errors import BadData

METRICS = ("accuracy", "mean_per_class_accuracy", "macro_f1", "matthews", "ece", "nll_nats")
SCORE_METRICS = ("pearson", "spearman", "rmse")
_NUM_BINS = 15
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Four numbers per example, from which every metric follows, for any number of classes.

    Attributes:
        labels: class ids in [0, k), taken as the truth.
        predicted: class with the highest probability, the first one among ties.
        confidence: that probability, in [0, 1].
        label_prob: probability of the label, in [0, 1]; at least the machine epsilon of the dtype of
            the probabilities, so one confident error costs 16 nats (float32) or 36 (float64), not infinity.
        num_classes: k.
    """

    labels: Int[np.ndarray, " n"]
    predicted: Int[np.ndarray, " n"]
    confidence: Float[np.ndarray, " n"]
    label_prob: Float[np.ndarray, " n"]
    num_classes: int


@dataclass(frozen=True)
class ClassMetrics:
    """Metrics of one class on one evaluation set; `None` if a denominator is zero.

    Attributes:
        num_examples: examples with this label.
        accuracy: recall: share of the examples with this label that are predicted as this class.
        precision: share of the predictions of this class that have this label.
        f1: harmonic mean of the two.
    """

    num_examples: int
    accuracy: float | None
    precision: float | None
    f1: float | None


def outcomes(probs: Float[np.ndarray, "n k"], labels: Int[np.ndarray, " rows"]) -> Outcomes:
    """Check the probabilities and keep what the metrics need.

    Args:
        probs: rows of class probabilities, each summing to 1.
        labels: class ids in [0, k), taken as the truth.

    Raises:
        BadData: names the first invalid row.
    """
    _check(probs, labels)
    rows = np.arange(len(labels))
    predicted = probs.argmax(axis=1)
    label_prob = np.maximum(probs[rows, labels], np.finfo(probs.dtype).eps).astype(np.float64)
    return Outcomes(
        labels=labels,
        predicted=predicted,
        confidence=np.minimum(probs[rows, predicted].astype(np.float64), 1.0),
        label_prob=np.minimum(label_prob, 1.0),
        num_classes=probs.shape[1],
    )


def join_outcomes(blocks: Sequence[Outcomes]) -> Outcomes:
    """Concatenate the outcomes of consecutive blocks of one evaluation set."""
    names = ("labels", "predicted", "confidence", "label_prob")
    parts = {name: np.concatenate([getattr(block, name) for block in blocks]) for name in names}
    return Outcomes(**parts, num_classes=blocks[0].num_classes)


def all_metrics(found: Outcomes) -> dict[str, float]:
    r"""Every metric in `METRICS`.

    `accuracy`; `mean_per_class_accuracy`: mean recall over the classes that occur in the labels;
    `macro_f1`: mean F1 over the classes that occur in the labels or the predictions; `matthews`: correlation
    of label and prediction (Gorodkin 2004), 0 where either is constant; `ece`; `nll_nats`: mean of
    $-\ln p_y$ with p_y as in `Outcomes.label_prob`.

    All but the last two follow from three counts per class (examples, predictions, hits), so there is no
    confusion matrix and the memory is O(n + k).
    """
    true, predicted, hits = _counts(found)
    n = float(len(found.labels))
    has_label, occurs = true > 0, (true + predicted) > 0
    spread = (n * n - true @ true) * (n * n - predicted @ predicted)
    return {
        "accuracy": float(hits.sum() / n),
        "mean_per_class_accuracy": float((hits[has_label] / true[has_label]).mean()),
        "macro_f1": float((2 * hits[occurs] / (true + predicted)[occurs]).mean()),
        "matthews": float((hits.sum() * n - true @ predicted) / np.sqrt(spread)) if spread > 0 else 0.0,
        "ece": expected_calibration_error(found.confidence, found.predicted == found.labels),
        "nll_nats": float(-np.log(found.label_prob).mean()),
    }


def score_metrics(predicted: Float[np.ndarray, " n"], scores: Float[np.ndarray, " rows"]) -> dict[str, float]:
    r"""Every metric in `SCORE_METRICS` of predicted scores against the given ones.

    `pearson`: $r = \frac{\sum_i (\hat y_i - \bar{\hat y})(y_i - \bar y)}{n \, \sigma_{\hat y} \sigma_y}$;
    `spearman`: r of the ranks, ties with their mean rank; both are 0 where either side is constant. `rmse`:
    root of the mean squared error, in the unit of the scores.

    Args:
        predicted: by a head.
        scores: taken as the truth.

    Raises:
        BadData: different lengths, no example, or a number that is not finite (the row is named).
    """
    if len(predicted) != len(scores) or len(scores) == 0:
        raise BadData(
            f"`predicted` has {len(predicted)} rows, `scores` {len(scores)}; allowed: one row per score, at "
            "least one. Next: check the evaluation set."
        )
    check_finite(predicted[:, None], "predicted")
    check_finite(scores[:, None], "scores")
    return {
        "pearson": _correlation(predicted, scores),
        "spearman": _correlation(scipy.stats.rankdata(predicted), scipy.stats.rankdata(scores)),
        "rmse": float(np.sqrt(np.mean((predicted - scores) ** 2))),
    }


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    a, b = first - first.mean(), second - second.mean()
    largest_a, largest_b = np.abs(a).max(), np.abs(b).max()
    if not largest_a or not largest_b:
        return 0.0
    a, b = a / largest_a, b / largest_b  # no sum of squares overflows or vanishes
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def per_class_metrics(found: Outcomes) -> tuple[ClassMetrics, ...]:
    """Metrics of every class, in the order of the class ids."""
    rows = zip(*(counts.tolist() for counts in _counts(found)), strict=True)
    return tuple(
        ClassMetrics(
            num_examples=int(true),
            accuracy=_ratio(hits, true),
            precision=_ratio(hits, predicted),
            f1=_ratio(2 * hits, true + predicted),
        )
        for true, predicted, hits in rows
    )


def expected_calibration_error(
    confidence: Float[np.ndarray, " n"], is_right: np.ndarray, *, num_bins: int = _NUM_BINS
) -> float:
    r"""Expected calibration error: the mean distance of confidence from accuracy.

    $\mathrm{ECE} = \sum_m \frac{|B_m|}{n} |\mathrm{acc}(B_m) - \mathrm{conf}(B_m)|$, where bin m holds the
    examples with confidence in ((m-1)/M, m/M].

    Args:
        confidence: probability of the predicted class, in [0, 1].
        is_right: whether that class is the label.
        num_bins: M, bins of equal width.

    Returns:
        In [0, 1]; 0 = calibrated.

    Source: Guo et al. 2017, arXiv:1706.04599, Eq. 3.
    """
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    bins = np.minimum(np.searchsorted(edges[1:], confidence, side="left"), num_bins - 1)
    excess = np.bincount(bins, weights=is_right - confidence, minlength=num_bins)
    return float(np.abs(excess).sum() / len(confidence))


def _counts(found: Outcomes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    k = found.num_classes
    hits = found.labels[found.labels == found.predicted]
    true, predicted, right = (np.bincount(ids, minlength=k) for ids in (found.labels, found.predicted, hits))
    return true.astype(np.float64), predicted.astype(np.float64), right.astype(np.float64)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _check(probs: np.ndarray, labels: np.ndarray) -> None:
    if len(probs) != len(labels):
        raise BadData(
            f"`probs` has {len(probs)} rows, `labels` {len(labels)}; allowed: one row per label. "
            "Next: pass the probabilities of the same examples."
        )
    if len(labels) == 0:
        raise BadData("`labels` is empty; allowed: one example or more. Next: check the evaluation set.")
    check_label_range(labels, probs.shape[1], "labels")
    check_finite(probs, "probs")
    off = np.flatnonzero(
        (np.abs(probs.sum(axis=1, dtype=np.float64) - 1) > _SUM_TOLERANCE) | (probs < 0).any(axis=1)
    )
    if len(off):
        row = int(off[0])
        raise BadData(
            f"`probs` row {row} has sum {float(probs[row].sum()):.6g} and minimum "
            f"{float(probs[row].min()):.6g} ({len(off)} such rows in all); allowed: probabilities >= 0 that "
            "sum to 1. Next: pass class probabilities, not scores."
        )
