"""Labels that people decided: taken as right, never flagged; and what they tell of the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from noiseproof.core.plurals import counted
from noiseproof.core.records import LabelIssues
from noiseproof.detect.reviewed_rate import (
    LEAST_DECIDED,
    LEAST_DRAWS,
    Estimate,
    rate_from_drawn,
    recalibrate,
    share,
)

_NEXT = 100


@dataclass(frozen=True, eq=False)
class DecidedLabels:
    """What people decided about m of the n labels.

    Attributes:
        rows: of the decided labels, each once.
        labels: class ids that they have by the decisions; -1 where that is no class of the data.
        given: their given labels.
        judged: labels that people judged: those before cleaning in data that were cleaned since, else the
            given ones; -1 where that is no class any more.
        unsure: rows that people looked at without a decision.
    """

    rows: Int[np.ndarray, " m"]
    labels: Int[np.ndarray, " m"]
    given: Int[np.ndarray, " m"]
    judged: Int[np.ndarray, " m"]
    unsure: Int[np.ndarray, " u"]

    @property
    def is_wrong(self) -> Bool[np.ndarray, " m"]:
        """Whether the given label is not the decided one."""
        return self.labels != self.given

    @property
    def was_wrong(self) -> Bool[np.ndarray, " m"]:
        """Whether the label was wrong when people judged it."""
        return (self.labels != self.judged) | (self.judged < 0)

    def as_judged(self, given_labels: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """The labels with the judged ones put in; the same array where these are given."""
        known = self.judged >= 0
        if np.array_equal(self.judged[known], self.given[known]):
            return given_labels
        labels = given_labels.copy()
        labels[self.rows[known]] = self.judged[known]
        return labels

    def in_place_of(self, given_labels: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """The labels with the decided classes put in."""
        labels, has_class = given_labels.copy(), self.labels >= 0
        labels[self.rows[has_class]] = self.labels[has_class]
        return labels


@dataclass(frozen=True, eq=False)
class Draws:
    """A sample of labels to check, drawn with replacement from those that nobody had decided.

    Attributes:
        population: ascending rows that it was drawn from.
        decided_before: all other rows, which were decided before.
        rows: in the order they were drawn.
        probabilities: q of each draw.
        suspicion: of each draw, when it was drawn.
        mean: of the suspicion of the population, when it was drawn.
    """

    population: Int[np.ndarray, " p"]
    decided_before: Int[np.ndarray, " e"]
    rows: Int[np.ndarray, " d"]
    probabilities: Float[np.ndarray, " d"]
    suspicion: Float[np.ndarray, " d"]
    mean: float


@dataclass(frozen=True)
class ReviewSummary:
    """What decided labels tell; an interval is of 95 %.

    Attributes:
        num_checked: decided labels; labels of excluded examples count as wrong.
        num_wrong: labels among them that were wrong when they were checked.
        num_corrected: of these, those that the data have corrected since.
        num_flagged: checked labels that a search without decisions flags.
        num_flagged_wrong: wrong ones among these; their share is the precision of the flags.
        precision: with its interval; `None` where none is flagged.
        rate: share of wrong labels among all, with its interval; `None` with too few decisions.
        basis: "sample" where the rate is from a drawn sample, "suspicion" where it leans on the suspicion.
        num_draws: of the sample that count.
        next_num: unchecked labels with the highest suspicion.
        next_wrong: how many of these are expected to be wrong, with its interval.
    """

    num_checked: int
    num_wrong: int
    num_corrected: int
    num_flagged: int
    num_flagged_wrong: int
    precision: Estimate | None
    rate: Estimate | None
    basis: str | None
    num_draws: int
    next_num: int
    next_wrong: Estimate | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def find_with_known_labels(
    find: Callable[[np.ndarray], LabelIssues],
    given_labels: Int[np.ndarray, " n"],
    known: DecidedLabels | None,
    *,
    draws: Draws | None = None,
    is_probability: bool = True,
) -> tuple[LabelIssues, ReviewSummary | None]:
    """Find suspect labels beside those that people decided.

    The detector runs twice: on the labels that people judged, which says how suspicious the decided ones
    were, and with the decided labels put in.

    Args:
        find: runs a detector on these examples with other labels.
        given_labels: class ids.
        known: the decisions; `None` without any.
        draws: the sample that the decisions may be of.
        is_probability: whether suspicion is the probability that a label is wrong.
    """
    if known is None:
        return find(given_labels), None
    plain = find(known.as_judged(given_labels))
    rest = find(known.in_place_of(given_labels))
    issues = _with_decisions(rest, given_labels, known)
    return issues, _summarise(plain, issues, known, draws, is_probability=is_probability)


def _with_decisions(rest: LabelIssues, given: Int[np.ndarray, " n"], known: DecidedLabels) -> LabelIssues:
    """Results of the others; decided labels are no issues, and their class is the suggested one."""
    rows = known.rows
    suspicion, is_issue = rest.suspicion.copy(), rest.is_issue.copy()
    suspicion[rows], is_issue[rows] = 0.0, False
    joint = rest.joint.copy()
    wrong = zip(rows[known.is_wrong].tolist(), known.labels[known.is_wrong].tolist(), strict=True)
    for row, label in wrong:
        if label >= 0:
            moved = min(1.0, joint[label, label])
            joint[label, label] -= moved
            joint[label, given[row]] += moved
    added = known.is_wrong.sum() / len(given)
    ends = [
        None if end is None else min(float(end + added), 1.0)
        for end in (rest.noise_rate_low, rest.noise_rate_high)
    ]
    num_wrong = int(known.is_wrong.sum())
    note = (
        f"{counted(len(rows), 'label')} that people decided: taken as right and not flagged; in these data "
        f"{num_wrong} of them {'is' if num_wrong == 1 else 'are'} still wrong."
    )
    suggested = rest.suggested_labels.copy()
    suggested[rows] = given[rows]  # stays where the decided label is no class
    return replace(
        rest, given_labels=given, suggested_labels=known.in_place_of(suggested), suspicion=suspicion,
        is_issue=is_issue, joint=joint, noise_rate_low=ends[0], noise_rate_high=ends[1],
        notes=(*rest.notes, note),
    )  # fmt: skip


def _summarise(
    plain: LabelIssues,
    issues: LabelIssues,
    known: DecidedLabels,
    draws: Draws | None,
    *,
    is_probability: bool,
) -> ReviewSummary:
    has_class = known.judged >= 0  # the detector knows no other labels
    flagged = plain.is_issue[known.rows] & has_class
    num_flagged, num_flagged_wrong = int(flagged.sum()), int(known.was_wrong[flagged].sum())
    rest = np.setdiff1d(np.arange(len(plain.suspicion)), known.rows)
    sampled, num_draws = (None, 0) if draws is None else rate_of_sample(known, draws)
    rate, next_wrong, num_next = sampled, None, min(_NEXT, len(rest))
    if is_probability and has_class.any() and len(known.rows) >= LEAST_DECIDED:
        checked = known.rows[has_class]
        fitted = recalibrate(
            plain.suspicion[checked], known.was_wrong[has_class], issues.suspicion[rest],
            num_wrong=int(known.is_wrong.sum()), num=len(plain.suspicion),
        )  # fmt: skip
        rate = rate or fitted.rate()
        first = np.argsort(-issues.suspicion[rest], kind="stable")[:num_next]
        next_wrong = fitted.expected_wrong(first)
    return ReviewSummary(
        num_checked=len(known.rows),
        num_wrong=int(known.was_wrong.sum()),
        num_corrected=int((known.was_wrong & ~known.is_wrong).sum()),
        num_flagged=num_flagged,
        num_flagged_wrong=num_flagged_wrong,
        precision=share(num_flagged_wrong, num_flagged) if num_flagged else None,
        rate=rate,
        basis=None if rate is None else "suspicion" if sampled is None else "sample",
        num_draws=num_draws,
        next_num=num_next,
        next_wrong=next_wrong,
    )


def missing_decisions(known: DecidedLabels, draws: Draws) -> Int[np.ndarray, " s"]:
    """Rows that were decided when the sample was drawn and are not now."""
    return np.setdiff1d(draws.decided_before, known.rows)


def rate_of_sample(known: DecidedLabels, draws: Draws) -> tuple[Estimate | None, int]:
    """The rate by the draws up to the first one that nobody looked at, and how many these are.

    Later draws may be decided because they look suspicious, so they do not count. An unsure draw counts as
    right for the lower end, as wrong for the upper one, and as half for the value. The estimate is `None`
    with fewer than `LEAST_DRAWS` draws, or where a decision from before the draw is missing.
    """
    wrong = dict(zip(known.rows.tolist(), known.is_wrong.tolist(), strict=True))
    unsure = set(known.unsure.tolist())
    num_draws = next(
        (k for k, row in enumerate(draws.rows.tolist()) if row not in wrong and row not in unsure),
        len(draws.rows),
    )
    if num_draws < LEAST_DRAWS or len(missing_decisions(known, draws)):
        return None, num_draws
    drawn, size = draws.rows[:num_draws].tolist(), len(draws.population)
    found = [
        rate_from_drawn(
            draws.suspicion[:num_draws], draws.probabilities[:num_draws],
            np.array([wrong.get(row, default) for row in drawn]), num=size, mean=draws.mean,
        )
        for default in (False, True)
    ]  # fmt: skip
    exact, num = sum(wrong[row] for row in draws.decided_before.tolist()), size + len(draws.decided_before)
    values = (np.mean([one.value for one in found]), found[0].low, found[1].high)
    return Estimate(*(float((exact + size * value) / num) for value in values)), num_draws
