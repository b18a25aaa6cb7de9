"""How well suspect labels were found, where the truth is known."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Int
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score

from noiseproof.errors import BadData
from noiseproof.records import LabelIssues


@dataclass(frozen=True)
class DetectionMetrics:
    """A detector against the truth; `None` where a number is not defined.

    Attributes:
        precision: of the flagged labels, the part that is wrong; `None` where none is flagged.
        recall: of the wrong labels, the part that is flagged; `None` where none is wrong.
        f1: harmonic mean of the two; `None` where none is flagged and none is wrong.
        auroc: chance that a wrong label has a higher suspicion than a right one; `None` without both sorts.
        average_precision: area under the precision-recall curve of the suspicion; `None` where none is wrong.
        num_flagged: labels the detector decided against.
        num_wrong: labels that differ from the truth.
    """

    precision: float | None
    recall: float | None
    f1: float | None
    auroc: float | None
    average_precision: float | None
    num_flagged: int
    num_wrong: int

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `run.json`."""
        return asdict(self)


def detection_metrics(issues: LabelIssues, clean_labels: Int[np.ndarray, " n"]) -> DetectionMetrics:
    """Compare what a detector found with the labels that are really wrong.

    Args:
        issues: the detector's answer.
        clean_labels: the truth for the same examples in the same order.

    Raises:
        BadData: if the lengths differ.
    """
    if len(clean_labels) != len(issues.given_labels):
        raise BadData(
            f"`clean_labels` has {len(clean_labels)} rows, `issues` {len(issues.given_labels)}; "
            "allowed: the same examples in both. Next: pass the truth for the examples the detector saw."
        )
    is_wrong, flagged = issues.given_labels != clean_labels, issues.is_issue
    num_wrong, num_flagged, n = int(is_wrong.sum()), int(flagged.sum()), len(is_wrong)
    precision, recall, f1, _ = precision_recall_fscore_support(
        is_wrong, flagged, average="binary", zero_division=0
    )
    has_both = 0 < num_wrong < n
    return DetectionMetrics(
        precision=float(precision) if num_flagged else None,
        recall=float(recall) if num_wrong else None,
        f1=float(f1) if num_flagged + num_wrong else None,
        auroc=float(roc_auc_score(is_wrong, issues.suspicion)) if has_both else None,
        average_precision=float(average_precision_score(is_wrong, issues.suspicion)) if num_wrong else None,
        num_flagged=num_flagged,
        num_wrong=num_wrong,
    )
