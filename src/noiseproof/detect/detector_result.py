"""What one detector says of every label, before it is told in the user's words."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

Probs = Float[np.ndarray, "n k"]
Labels = Int[np.ndarray, " n"]
PerExample = Float[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class DetectorResult:
    """Attributes as in `records.LabelIssues`, in class ids."""

    suspicion: PerExample
    is_issue: Bool[np.ndarray, " n"]
    suggested_labels: Labels
    joint: Float[np.ndarray, "k k"]
    method: str
    probs: Probs | None = None
    notes: tuple[str, ...] = ()

    def with_joint(self, joint: Float[np.ndarray, "k k"]) -> DetectorResult:
        """The same, with a better estimate of what was given for what."""
        return replace(self, joint=joint)

    def with_method(self, method: str) -> DetectorResult:
        """The same under another name."""
        return replace(self, method=method)

    def with_note(self, note: str) -> DetectorResult:
        """The same, with one more sentence."""
        return replace(self, notes=(*self.notes, note))


def result_from_posterior(
    posterior: Probs, given_labels: Labels, *, suspicion: PerExample, probs: Probs, method: str
) -> DetectorResult:
    """Of a detector that knows how likely each class is the true one: an issue is likelier wrong than right.

    Args:
        posterior: P(true | x, given).
        given_labels: class ids.
        suspicion: what the posterior leaves for the other classes, which subtraction would round.
        probs: P(true | x); says what else an example is, also where right is likelier than wrong.
        method: name of the detector.
    """
    is_issue = suspicion > 0.5
    suggested = np.where(is_issue, best_other_class(posterior, given_labels), probs.argmax(1))
    joint = np.stack([posterior[given_labels == j].sum(0) for j in range(posterior.shape[1])], axis=1)
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
    """Of a detector whose suspicion is an order, no probability: what it decides is what is counted.

    Args:
        suspicion: in [0, 1].
        is_issue: the decision.
        preferred: class of each example as the detector sees it; may be the given one of an issue, too.
        given_labels: class ids.
        num_classes: k.
        method: name of the detector.
        probs: the detector's, where there are any.
    """
    joint = np.zeros((num_classes, num_classes))
    np.add.at(joint, (np.where(is_issue, preferred, given_labels), given_labels), 1.0)
    return DetectorResult(suspicion, is_issue, preferred, joint, method, probs)


def best_other_class(scores: Probs, given_labels: Labels) -> Labels:
    """The class with the highest score beside the given one."""
    others = np.array(scores, copy=True)
    np.put_along_axis(others, given_labels[:, None], -np.inf, axis=1)
    return others.argmax(1)


def flag_most_suspicious(suspicion: PerExample, rate: float) -> Bool[np.ndarray, " n"]:
    """The share `rate` of the examples with the highest suspicion; of equal ones those that come first."""
    flags = np.zeros(len(suspicion), bool)
    flags[np.argsort(-suspicion, kind="stable")[: round(rate * len(suspicion))]] = True
    return flags
