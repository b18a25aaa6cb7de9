"""Decisions of people that a flow takes: of its folder, and of the files that a user names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from noiseproof.config.data import DecisionsConfig
from noiseproof.config.detect import DetectConfig
from noiseproof.config.run import RunConfig
from noiseproof.core.plurals import counted
from noiseproof.core.records import LabelledDataset
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
from noiseproof.detect.known_labels import DecidedLabels
from noiseproof.pipelines.inputs.cleaned_copies import LabelsBefore
from noiseproof.pipelines.inputs.data_parts import DataPart
from noiseproof.pipelines.inputs.inputs import is_whole
from noiseproof.pipelines.reviewed.brought_decisions import BroughtDecisions, open_brought
from noiseproof.pipelines.reviewed.kept_page import REVIEW, keep_before_change
from noiseproof.pipelines.reviewed.other_data import check_not_of_other_data
from noiseproof.review.review_page import put_decisions


@dataclass(frozen=True, eq=False)
class KnownDecisions:
    """The labels of a data set that are judged, and decisions about them.

    Attributes:
        dataset: with the labels as given.
        settled: the decisions as people made them.
        labels: as detectors take them; `None` where no example is decided.
        brought: those of them that the data bring along.
    """

    dataset: LabelledDataset
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


def open_known(config: DetectConfig | RunConfig, dataset: LabelledDataset) -> KnownDecisions:
    """The decisions that a flow takes.

    Args:
        config: names their files, and the data, which may bring some along. Its folder has those of earlier
            starts; examples that are no longer in the data are passed over there.
        dataset: that they are about.

    Raises:
        BadData: decisions are damaged, contradict each other, or are of other data.
        InvalidArgument: the folder has results of other data.
    """
    brought, contents, folder = open_brought(config, dataset), content_hashes(dataset), config.out
    check_not_of_other_data(folder, dataset, contents)
    whole = is_whole(config, dataset)
    examples = replace(
        ReviewedExamples.of_dataset(dataset), new_classes=config.allow_new_class,
        may_have_others=not whole, contents=contents, brought=brought.decisions,
    )  # fmt: skip
    kept = replace(examples, new_classes=True, may_have_others=True)
    keep_before_change(folder, str(examples.identity))
    settled = read_settled(config, folder, examples, kept=kept, is_whole=whole)
    settled = replace(settled, notes=(*brought.notes, *settled.notes))
    return KnownDecisions(dataset, settled, _as_labels(settled, brought, examples, dataset), brought)


def _as_labels(
    settled: Settled, brought: BroughtDecisions, examples: ReviewedExamples, dataset: LabelledDataset
) -> DecidedLabels | None:
    number = {name: k for k, name in enumerate(dataset.class_names)}
    rows = {examples.row[one.example_id]: one for one in settled.counting.values()}
    sure = sorted(row for row, one in rows.items() if one.is_sure)
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


def keep_named(config: DetectConfig | RunConfig, known: KnownDecisions) -> None:
    """Keep decisions of the files that the user names in `decisions.csv` of the folder and on its page."""
    folder, dataset = config.out, known.dataset
    if config.decisions:
        examples = replace(
            ReviewedExamples.of_dataset(dataset), contents=content_hashes(dataset),
            brought=known.brought.decisions,
        )  # fmt: skip
        keep_decisions(folder, known.settled.all, examples)
        if (folder / REVIEW).is_file():
            put_decisions(folder / REVIEW, list(known.settled.counting.values()))


def decided_part(part: DataPart, known: KnownDecisions) -> DataPart:
    """A part of the decided data with the labels that people decided, without what they excluded."""
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
    sure = {each: one.decision for each, one in by_id.items() if one.is_sure}
    words = np.array([sure.get(each, "") for each in ids], dtype=object)
    if part.role == "train" or not np.any(words != ""):
        return part.before
    if part.before is None:
        return LabelsBefore(part.given_labels, words)
    earlier = part.before.words
    return replace(part.before, words=words if earlier is None else np.where(words, words, earlier))


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
