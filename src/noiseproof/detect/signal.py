"""Whether features tell given labels apart at all, by leave-one-out scores."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy  # its parts are loaded when they are first used
from jaxtyping import Float, Int

from noiseproof.detect.detector_result import DetectorResult
from noiseproof.detect.evidence import Evidence

# Without a signal, leave-one-out scores order pairs worse than chance (an example pulls the fit away from its
# own label): of 60 random data sets 3 were above 0.85 standard errors, the highest at 1.6.
_STANDARD_ERRORS = 1
# From this share of pairs on, features separate the classes, however rare some are: scores of a rare class
# may never be the highest, so accuracy alone would deny the signal.
_CLEAR_SHARE = 0.65
# Of the labels that guessing misses, the share that scores name right; more need no second look.
_CLEAR_GAIN = 0.3


@dataclass(frozen=True)
class Signal:
    """How well held-out scores predict the given labels.

    Attributes:
        accuracy: share of labels that are the class with the highest leave-one-out score.
        most_frequent: share of the most frequent label, which needs no features.
        ordered: share of pairs, an example of a class and one of another, that scores of the class put in the
            right order; mean over the labels, 0.5 by chance.
        standard_error: of `ordered` by chance.
        num_examples: n.
    """

    accuracy: float
    most_frequent: float
    ordered: float
    standard_error: float
    num_examples: int

    @property
    def is_beaten_by_guessing(self) -> bool:
        """Whether always naming the most frequent label is as accurate, and classes overlap widely."""
        error = math.sqrt(self.accuracy * (1 - self.accuracy) / self.num_examples)
        return self.accuracy <= self.most_frequent + error and self.ordered < _CLEAR_SHARE

    @property
    def is_weak(self) -> bool:
        """Whether scores are little better than chance, though they may beat guessing."""
        return self.is_beaten_by_guessing or self.ordered < _CLEAR_SHARE

    @property
    def is_absent(self) -> bool:
        """Whether the scores are no better than chance."""
        return self.is_beaten_by_guessing and self.ordered <= 0.5 + _STANDARD_ERRORS * self.standard_error

    @property
    def note(self) -> str:
        """A note for users where the signal is weak."""
        degree = (
            "do not predict the labels better than chance" if self.is_absent else "hardly predict the labels"
        )
        what = (
            f"These features {degree}: held out, a linear fit names "
            f"{100 * self.accuracy:.1f} % of the labels, the most frequent label alone is right for "
            f"{100 * self.most_frequent:.1f} %, and {100 * self.ordered:.1f} % of pairs of examples with "
            "different labels are in the right order (50 % by chance)."
        )
        if self.is_absent:
            meaning = "So no label was flagged, and the estimated rate of wrong labels means nothing."
        else:
            meaning = (
                "Either the features are weak or very many labels are wrong: suspicions are little more than "
                "guesses, and many labels that look wrong may be right."
            )
        next_step = "another encoder (--backbone), or probabilities of your own model (--probs)"
        return f"{what} {meaning} Next: {next_step}."


def signal_of(scores: Float[np.ndarray, "n c"], labels: Int[np.ndarray, " n"]) -> Signal:
    """Measure the signal of leave-one-out scores.

    `ordered` is the area under the ROC curve of each class against the rest, which is the statistic of Mann
    and Whitney over the number of pairs; without a signal its variance is $(n + 1) / (12 n_c (n - n_c))$.

    Args:
        scores: of c classes.
        labels: positions of the given labels among them; each occurs.

    Source: Hanley & McNeil 1982, Radiology 143, pages 29 to 36; Mann & Whitney 1947, Section 5.
    """
    n, counts = len(labels), np.bincount(labels, minlength=scores.shape[1])
    accuracy, most = float((scores.argmax(1) == labels).mean()), float(counts.max() / n)
    ordered = errors = 0.0
    for label, count in enumerate(counts.tolist()):
        ranks = scipy.stats.rankdata(scores[:, label])[labels == label]
        pairs = count * (n - count)
        ordered += count / n * float(ranks.sum() - count * (count + 1) / 2) / pairs
        errors += count / n * math.sqrt((n + 1) / (12 * pairs))
    return Signal(accuracy, most, ordered, errors, n)


def with_signal_note(result: DetectorResult, evidence: Evidence) -> DetectorResult:
    """The result with a note where features hardly predict labels.

    Without a signal no label is flagged, and the rate may be anything.
    """
    scores, labels = evidence.scores, evidence.compact_labels
    most = np.bincount(labels).max() / len(labels)
    clear = most + max(math.sqrt(most / len(labels)), _CLEAR_GAIN * (1 - most))
    if len(evidence.present_classes) < 2 or (scores.argmax(1) == labels).mean() > clear:
        return result  # the ranks of many classes take longer than the fit
    signal = signal_of(scores, labels)
    if not signal.is_weak:
        return result
    if signal.is_absent:
        result = replace(result, is_issue=np.zeros_like(result.is_issue), rate_range=(0.0, 1.0))
    return result.with_note(signal.note)
