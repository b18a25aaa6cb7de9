"""Metrics of a detector against known true labels, over the whole set, never averaged over batches."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from noiseproof.core.errors import BadData
from noiseproof.core.records import LabelIssues, rows_as_shares

_BINS = 10  # of the suspicion, equally wide


@dataclass(frozen=True)
class DetectionMetrics:
    """Metrics of a detector; `None` if a metric is not defined.

    Attributes:
        precision: share of flagged labels that are wrong; `None` if none is flagged.
        recall: share of wrong labels that are flagged; `None` if none is wrong.
        f1: harmonic mean of the two; `None` if none is flagged and none is wrong.
        clean_precision: share of unflagged labels that are correct; `None` if all are flagged.
        clean_recall: share of correct labels that are not flagged; `None` if none is correct.
        clean_f1: harmonic mean of the two; `None` if all are flagged and none is correct.
        auroc: probability that a wrong label has a higher suspicion than a correct one; `None` without both.
        average_precision: area under the precision-recall curve of the suspicion; `None` if none is wrong.
        precision_at_1: share of wrong labels among the 1 % with the highest suspicion, at least one label.
        precision_at_5: of the 5 %.
        precision_at_10: of the 10 %.
        rate_error: estimated minus true share of wrong labels.
        transition_error: total variation distance between rows of the estimated and the realised transition
            matrix, mean over the examples by true class; in [0, 1]. `None` if a true label is not a class of
            the detector.
        calibration_error: of the suspicion as a probability: absolute difference between mean suspicion and
            share of wrong labels, mean over ten bins by their size.
        num_flagged: labels that the detector flags as issues.
        num_wrong: labels that differ from the truth.
    """

    precision: float | None
    recall: float | None
    f1: float | None
    clean_precision: float | None
    clean_recall: float | None
    clean_f1: float | None
    auroc: float | None
    average_precision: float | None
    precision_at_1: float
    precision_at_5: float
    precision_at_10: float
    rate_error: float
    transition_error: float | None
    calibration_error: float
    num_flagged: int
    num_wrong: int

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def detection_metrics(issues: LabelIssues, clean_labels: Int[np.ndarray, " n"]) -> DetectionMetrics:
    """Compare the issues of a detector with the true labels.

    Args:
        issues: result of the detector.
        clean_labels: true labels of the same examples in the same order.

    Raises:
        BadData: the lengths differ.
    """
    if len(clean_labels) != len(issues.given_labels):
        raise BadData(
            f"`clean_labels` has {len(clean_labels)} rows, `issues` {len(issues.given_labels)}; "
            "allowed: the same examples in both. Next: pass the true labels of the detector's examples."
        )
    from sklearn.metrics import average_precision_score, roc_auc_score

    is_wrong, flagged = issues.given_labels != clean_labels, issues.is_issue
    num_wrong, n = int(is_wrong.sum()), len(is_wrong)
    has_both = 0 < num_wrong < n
    precision, recall, f1 = _agreement(is_wrong, flagged)
    clean_precision, clean_recall, clean_f1 = _agreement(~is_wrong, ~flagged)
    return DetectionMetrics(
        precision, recall, f1, clean_precision, clean_recall, clean_f1,
        auroc=float(roc_auc_score(is_wrong, issues.suspicion)) if has_both else None,
        average_precision=float(average_precision_score(is_wrong, issues.suspicion)) if num_wrong else None,
        precision_at_1=precision_within(is_wrong, issues.suspicion, 0.01),
        precision_at_5=precision_within(is_wrong, issues.suspicion, 0.05),
        precision_at_10=precision_within(is_wrong, issues.suspicion, 0.1),
        rate_error=issues.noise_rate - num_wrong / n,
        transition_error=transition_error(issues, clean_labels),
        calibration_error=calibration_error(is_wrong, issues.suspicion),
        num_flagged=int(flagged.sum()),
        num_wrong=num_wrong,
    )  # fmt: skip


def precision_within(
    is_wrong: Bool[np.ndarray, " n"], suspicion: Float[np.ndarray, " n"], budget: float
) -> float:
    """Share of wrong labels among the most suspicious ones; ties at the end count in proportion.

    Args:
        is_wrong: whether each label is wrong.
        suspicion: higher = more likely wrong.
        budget: share of the labels that are reviewed, at least one label.
    """
    num = max(1, round(budget * len(suspicion)))
    last = np.partition(suspicion, -num)[-num]
    above, tied = suspicion > last, suspicion == last
    return float((is_wrong[above].sum() + is_wrong[tied].mean() * (num - above.sum())) / num)


def transition_error(issues: LabelIssues, clean_labels: Int[np.ndarray, " n"]) -> float | None:
    """Error of the estimated transition matrix, see `DetectionMetrics`."""
    if not np.isin(clean_labels, issues.classes).all():
        return None
    counts = np.zeros_like(issues.joint, dtype=np.float64)
    places = [np.searchsorted(issues.classes, labels) for labels in (clean_labels, issues.given_labels)]
    np.add.at(counts, tuple(places), 1.0)
    distances = np.abs(issues.transition - rows_as_shares(counts)).sum(1) / 2
    return float(distances @ counts.sum(1) / counts.sum())


def calibration_error(is_wrong: Bool[np.ndarray, " n"], suspicion: Float[np.ndarray, " n"]) -> float:
    """Expected calibration error of the suspicion.

    Source: Naeini, Cooper & Hauskrecht 2015, AAAI; Guo et al. 2017, arXiv:1706.04599, Eq. 3.
    """
    bins = np.minimum((suspicion * _BINS).astype(int), _BINS - 1)
    excess = np.bincount(bins, weights=suspicion - is_wrong, minlength=_BINS)
    return float(np.abs(excess).sum() / len(suspicion))


def _agreement(
    truth: Bool[np.ndarray, " n"], found: Bool[np.ndarray, " n"]
) -> tuple[float | None, float | None, float | None]:
    """Precision, recall and F1; `None` if not defined."""
    from sklearn.metrics import precision_recall_fscore_support

    precision, recall, f1, _ = precision_recall_fscore_support(
        truth, found, average="binary", zero_division=0
    )
    num_true, num_found = truth.sum(), found.sum()
    return (
        float(precision) if num_found else None,
        float(recall) if num_true else None,
        float(f1) if num_true + num_found else None,
    )
