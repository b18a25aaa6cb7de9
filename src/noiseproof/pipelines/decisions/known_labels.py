"""Decisions of people that a flow takes: of its folder, and of the files that a user names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from noiseproof.config.data import DecisionsConfig
from noiseproof.config.detect import DetectConfig
from noiseproof.config.run import RunConfig
from noiseproof.core.errors import BadData
from noiseproof.core.plurals import counted
from noiseproof.core.progress import stage
from noiseproof.core.records import LabelIssues, LabelledDataset
from noiseproof.data.fingerprints import content_hashes
from noiseproof.data.splits import subset
from noiseproof.decisions.decision_files import (
    DECISIONS,
    describe_others,
    keep_decisions,
    read_decisions,
    read_kept,
    read_log,
    time_of_files,
)
from noiseproof.decisions.record import Decision, ReviewedExamples
from noiseproof.decisions.settle import Settled, settle, with_times
from noiseproof.detect.detectors import TABLE
from noiseproof.detect.known_labels import DecidedLabels, Draws, find_with_known_labels
from noiseproof.export.issue_files import write_issues
from noiseproof.export.thumbnails import write_thumbnails
from noiseproof.features.store import StoredFeatures
from noiseproof.pipelines.decisions.brought_decisions import BroughtDecisions, open_brought, write_brought
from noiseproof.pipelines.decisions.kept_page import REVIEW, keep_before_change
from noiseproof.pipelines.decisions.other_data import check_not_of_other_data
from noiseproof.pipelines.inputs.cleaned_copies import LabelsBefore
from noiseproof.pipelines.inputs.data_parts import DataPart
from noiseproof.pipelines.inputs.second_encoder import with_comparison

_NUM_NAMED = 3


@dataclass(frozen=True, eq=False)
class KnownDecisions:
    """Decisions about the labels of a data set.

    Attributes:
        settled: as people made them.
        labels: as detectors take them; `None` where no example is decided.
        brought: those of them that the data bring along.
    """

    settled: Settled
    labels: DecidedLabels | None
    brought: BroughtDecisions = field(default_factory=BroughtDecisions)

    @property
    def key(self) -> list[Any]:
        """Everything that results depend on, for the key of a stage."""
        counting = sorted(
            [one.example_id, *one.outcome, one.decision] for one in self.settled.counting.values()
        )
        return [*counting, *sorted(self.brought.judged.items())]


def no_decisions() -> KnownDecisions:
    """The decisions where nobody decided."""
    return KnownDecisions(Settled({}, (), ()), None)


def open_known(
    config: DetectConfig | RunConfig, folder: Path, dataset: LabelledDataset, *, is_whole: bool
) -> KnownDecisions:
    """The decisions that a flow takes.

    Args:
        config: names their files, and the data, which may bring some along.
        folder: has those of earlier starts; examples that are no longer in the data are passed over there.
        dataset: that they are about.
        is_whole: whether no example of the data is left out.

    Raises:
        BadData: decisions are damaged, contradict each other, or are of other data.
        InvalidArgument: the folder has results of other data.
    """
    brought, contents = open_brought(config, dataset), content_hashes(dataset)
    check_not_of_other_data(folder, dataset, contents)
    own: dict[str, Any] = {"contents": contents, "brought": brought.decisions}
    examples = ReviewedExamples.of_dataset(
        dataset, new_classes=config.allow_new_class, may_have_others=not is_whole, **own
    )
    kept = ReviewedExamples.of_dataset(dataset, new_classes=True, may_have_others=True, **own)
    keep_before_change(folder, str(examples.identity))
    settled = read_settled(config, folder, examples, kept=kept, is_whole=is_whole)
    settled = replace(settled, notes=(*brought.notes, *settled.notes))
    return KnownDecisions(settled, _as_labels(settled, brought, examples, dataset), brought)


def _as_labels(
    settled: Settled, brought: BroughtDecisions, examples: ReviewedExamples, dataset: LabelledDataset
) -> DecidedLabels | None:
    number = {name: k for k, name in enumerate(dataset.class_names)}
    rows = {examples.row[one.example_id]: one for one in settled.counting.values()}
    sure = sorted(row for row, one in rows.items() if one.decision != "unsure")
    if not sure:
        return None
    given = dataset.given_labels[sure]
    ids = [rows[row].example_id for row in sure]
    before = [brought.judged.get(each, label) for each, label in zip(ids, given.tolist(), strict=True)]
    return DecidedLabels(
        rows=np.array(sure),
        labels=np.array([number.get(rows[row].label, -1) for row in sure]),
        given=given,
        judged=np.array([label if label < len(number) else -1 for label in before]),
        unsure=np.array(sorted(rows.keys() - set(sure)), np.int64),
    )


def keep_named(
    config: DecisionsConfig, folder: Path, dataset: LabelledDataset, known: KnownDecisions
) -> None:
    """Keep the decisions of the files that the user names in `decisions.csv` of the folder, and on its page.

    Args:
        config: names the files.
        folder: of the published results.
        dataset: that the decisions are about.
        known: the decisions, with those of the folder.
    """
    if config.decisions:
        from noiseproof.review.review_page import put_decisions  # loads SciPy and scikit-learn

        examples = ReviewedExamples.of_dataset(
            dataset, contents=content_hashes(dataset), brought=known.brought.decisions
        )
        keep_decisions(folder, known.settled.all, examples)
        if (folder / REVIEW).is_file():
            put_decisions(folder / REVIEW, list(known.settled.counting.values()))


def decided_part(part: DataPart, known: KnownDecisions) -> DataPart:
    """A part of the decided data with the labels that people decided, without what they excluded.

    Args:
        part: whose `whole` the decisions are about.
        known: the decisions.
    """
    by_id = known.settled.counting
    ids = [str(each) for each in part.dataset.ids.tolist()]
    names = part.dataset.class_names
    new = dict.fromkeys(one.label for one in by_id.values() if one.label and one.label not in names)
    number = {name: k for k, name in enumerate((*names, *new))}
    labels = part.given_labels.copy()
    for row, example_id in enumerate(ids):
        if example_id in by_id:
            labels[row] = number.get(by_id[example_id].label, labels[row])
    part = replace(part, before=_before(part, ids, by_id, len(new)))
    dataset = replace(part.dataset, given_labels=labels, class_names=(*names, *new))
    is_kept = np.array([each not in by_id or by_id[each].decision != "exclude" for each in ids])
    if is_kept.all():
        return replace(part, dataset=dataset)
    kept = np.flatnonzero(is_kept)
    rows = kept if part.rows is None else part.rows[kept]
    before = None if part.before is None else part.before.take(kept)
    return replace(part, dataset=subset(dataset, kept), rows=rows, before=before)


def _before(
    part: DataPart, ids: Sequence[str], by_id: Mapping[str, Decision], num_new: int
) -> LabelsBefore | None:
    """The labels before the decisions, of an evaluation set that has decided examples."""
    if part.before is not None and part.before.gone:  # their ids follow those of the new classes
        labels = part.before.labels + num_new * (part.before.labels >= len(part.dataset.class_names))
        part = replace(part, before=replace(part.before, labels=labels))
    sure = {each: one.decision for each, one in by_id.items() if one.decision != "unsure"}
    words = np.array([sure.get(each, "") for each in ids], dtype=object)
    if part.role == "train" or not np.any(words != ""):
        return part.before
    if part.before is None:
        return LabelsBefore(part.given_labels, words)
    earlier = part.before.words
    return replace(part.before, words=words if earlier is None else np.where(words, words, earlier))


def judge_labels(
    find: Callable[[np.ndarray, Any], LabelIssues],
    folder: Path,
    dataset: LabelledDataset,
    known: KnownDecisions,
    features: Any,
    parts: Sequence[StoredFeatures],
    *,
    draws: Draws | None = None,
    raw_cells: bool,
) -> list[str]:
    """Find suspect labels beside the decided ones, and write the files of `issue_files` and the thumbnails.

    Args:
        find: (labels, features) -> results of a detector.
        folder: of the files.
        dataset: examples and labels.
        known: decisions on them.
        features: of all encoders; `None` where probabilities take their place.
        parts: of each encoder, where several stand side by side.
        draws: the sample that decisions may be of.
        raw_cells: see `write_issues`.
    """
    given = dataset.given_labels
    with stage("Suspect labels", total=len(dataset), unit="label") as bar:
        judged = given if known.labels is None else known.labels.as_judged(given)
        plain = find(judged, features)
        issues, review = find_with_known_labels(
            lambda labels: plain if np.array_equal(labels, judged) else find(labels, features),
            given, known.labels, draws=draws, is_probability=TABLE[plain.method].estimates_rate,
        )  # fmt: skip
        trusted = given if known.labels is None else known.labels.in_place_of(given)
        issues = with_comparison(issues, parts, lambda first: find(trusted, first))
        bar.update(len(dataset))
    reviewed = None if review is None else review.to_json()
    brought = write_brought(folder, known.brought.decisions)
    written = write_issues(
        issues, folder, clean_labels=dataset.clean_labels, raw_cells=raw_cells,
        fingerprint=dataset.fingerprint, reviewed=reviewed,
    )  # fmt: skip
    return [*written, *brought, *write_thumbnails(issues, dataset, folder)]


def read_settled(
    config: DecisionsConfig,
    folder: Path,
    examples: ReviewedExamples,
    *,
    kept: ReviewedExamples,
    is_whole: bool = True,
) -> Settled:
    """The decisions of a folder, then those of the files that the user names, settled where they disagree.

    Args:
        config: names the files.
        folder: that was reviewed.
        examples: that the files may be about.
        kept: that the decisions of the folder may be about.
        is_whole: whether decisions of the folder about other examples are noted.

    Raises:
        BadData: a file cannot be used, or people disagree and nothing says whose decision counts.
    """
    named = [one for path in config.decisions for one in read_decisions(path, examples)]
    before = read_kept(folder, kept)
    # The time of a row without one is that when it was first kept.
    earlier = {replace(one, when="") for one in before}
    new = [one for one in named if one.when or one not in earlier]
    replaced = _replaced(before, new, set(read_log(folder, kept)))
    # What people decide about cleaned data is later than what these bring along.
    replaced |= set(examples.brought) & {one for one in before if one.example_id in _ids(new)}
    settled = settle([*(one for one in before if one not in replaced), *new])
    own = [one for one in before if one not in set(examples.brought)]
    notes = [
        *settled.notes,
        *_notes_on_files(own, named, replaced - set(examples.brought)),
        *_notes_on_others(settled, examples),
        *(describe_others(folder, kept) if is_whole else []),
    ]
    written = time_of_files(config.decisions or [folder / DECISIONS])
    return replace(settle(with_times(settled.all, written)), notes=tuple(notes))


def _ids(decisions: Sequence[Decision]) -> set[str]:
    return {one.example_id for one in decisions}


def _replaced(before: Sequence[Decision], new: Sequence[Decision], on_page: set[Decision]) -> set[Decision]:
    """Decisions of files without a name on which a later file without names and times disagrees.

    It is a form that was corrected; who decided on the page without a name may be somebody else.
    """
    later = {one.example_id: one.outcome for one in new if not (one.who or one.when)}
    nameless = (one for one in before if not one.who and one not in on_page)
    return {one for one in nameless if later.get(one.example_id, one.outcome) != one.outcome}


def _notes_on_files(
    before: Sequence[Decision], named: Sequence[Decision], replaced: set[Decision]
) -> list[str]:
    known = {one.example_id for one in named}
    num_others = len({one.example_id for one in before} - known) if named else 0
    lines = []
    if num_others:
        lines.append(f"Decisions on {counted(num_others, 'more example')} are known from {DECISIONS}.")
    if replaced:
        num = counted(len(replaced), "decision")
        lines.append(f"{num} without a name {'is' if len(replaced) == 1 else 'are'} replaced.")
    return lines


def _notes_on_others(settled: Settled, examples: ReviewedExamples) -> list[str]:
    """A note on decisions that accept another label than the one that is suggested here."""
    if not examples.suggested:
        return []
    others = [
        one for one in settled.counting.values()
        if one.decision == "accept" and one.label != examples.suggested[examples.row[one.example_id]]
    ]  # fmt: skip
    if not others:
        return []
    first = others[0]
    subject = counted(len(others), "decision accepts", "decisions accept")
    return [
        f"{subject} another label than the suggested one, such as {first.label!r} for {first.example_id!r} "
        f"(suggested: {examples.suggested[examples.row[first.example_id]]!r}); the accepted label counts."
    ]


def check_complete(decisions: Sequence[str], examples: ReviewedExamples) -> None:
    """Raise `BadData` unless every label that looks wrong is decided.

    Args:
        decisions: ids of the decided examples, unsure ones left out.
        examples: with the flags.
    """
    known = set(decisions)
    flagged = [one for one, is_issue in zip(examples.ids, examples.is_issue, strict=True) if is_issue]
    left = [one for one in flagged if one not in known]
    if left:
        raise BadData(
            f"{len(left):,} of {counted(len(flagged), 'label')} flagged as wrong "
            f"{'is' if len(left) == 1 else 'are'} undecided or unsure, such as "
            f"{', '.join(map(repr, left[:_NUM_NAMED]))}; allowed with `require_complete`: a decision on "
            "each. Next: decide them, or leave `require_complete` out."
        )
