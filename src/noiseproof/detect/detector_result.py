"""The result of one detector, in class ids; `find_issues.to_label_issues` translates it to user labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from noiseproof.core.row_blocks import row_blocks

_BLOCK_NUMBERS = 2**20  # scores that are copied at a time

Probs = Float[np.ndarray, "n k"]
Labels = Int[np.ndarray, " n"]
PerExample = Float[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class DetectorResult:
    """Fields of `records.LabelIssues`, in class ids; `suspicion` is one minus a label quality score.

    Attributes:
        rate_range: lowest and highest plausible noise rate, where the detector can tell.
    """

    suspicion: PerExample
    is_issue: Bool[np.ndarray, " n"]
    suggested_labels: Labels
    joint: Float[np.ndarray, "k k"]
    method: str
    probs: Probs | None = None
    notes: tuple[str, ...] = ()
    rate_range: tuple[float, float] | None = None

    @property
    def noise_rate(self) -> float:
        """Share of wrong labels by the joint, in [0, 1]."""
        return float(np.clip(1 - np.trace(self.joint) / self.joint.sum(), 0.0, 1.0))  # as rounded

    def with_note(self, note: str) -> DetectorResult:
        """A copy with one more note, a sentence for the user."""
        return replace(self, notes=(*self.notes, note))


def result_from_posterior(
    suspicion: PerExample,
    best_other: Labels,
    given_labels: Labels,
    *,
    joint: Float[np.ndarray, "k k"],
    probs: Probs,
    method: str,
) -> DetectorResult:
    """Result from probabilities of the true label; labels that are more likely wrong than right are issues.

    Args:
        suspicion: posterior probability of all other classes together.
        best_other: the most probable class except the given one, suggested for issues.
        given_labels: class ids.
        joint: expected counts of true class and given label.
        probs: P(true | x); its largest class is suggested where the label is no issue.
        method: name of the detector.
    """
    is_issue = suspicion > 0.5
    suggested = np.where(is_issue, best_other, probs.argmax(1))
    return DetectorResult(suspicion, is_issue, suggested, joint, method, probs)


def result_from_decision(
    suspicion: PerExample,
    is_issue: Bool[np.ndarray, " n"],
    preferred: Labels,
    given_labels: Labels,
    *,
    num_classes: int,
    method: str,
    probs: Probs | None = None,
) -> DetectorResult:
    """Result from a suspicion that only ranks the labels, and a decision, which the joint counts.

    Args:
        suspicion: in [0, 1].
        is_issue: the decision.
        preferred: class that the detector prefers for each example, also for examples that are no issue.
        given_labels: class ids.
        num_classes: k.
        method: name of the detector.
        probs: class probabilities, if the detector has any.
    """
    joint = np.zeros((num_classes, num_classes))
    np.add.at(joint, (np.where(is_issue, preferred, given_labels), given_labels), 1.0)
    return DetectorResult(suspicion, is_issue, preferred, joint, method, probs)


def best_other_class(scores: Probs, given_labels: Labels) -> Labels:
    """The class with the highest score, except the given class."""
    best = np.empty(len(scores), np.int64)
    num_rows = max(1, _BLOCK_NUMBERS // scores.shape[1])
    for rows in row_blocks(len(scores), num_rows):
        others = np.array(scores[rows], copy=True)
        np.put_along_axis(others, given_labels[rows, None], -np.inf, axis=1)
        best[rows] = others.argmax(1)
    return best


def flag_most_suspicious(suspicion: PerExample, rate: float) -> Bool[np.ndarray, " n"]:
    """Flag the share `rate` of labels with the highest suspicion; among ties, the first ones."""
    flags = np.zeros(len(suspicion), bool)
    flags[np.argsort(-suspicion, kind="stable")[: round(rate * len(suspicion))]] = True
    return flags
