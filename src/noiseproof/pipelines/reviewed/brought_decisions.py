"""Decisions of people that a cleaned data set brings along: `detect` and `run` know them as their own.

They are read from the data at each start, and `brought_decisions.json` keeps those of the finished results
for the verbs that do not open the data. A decision counts only while its example has the label that was
decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from noiseproof.config.data import NoisyDataConfig
from noiseproof.core.plurals import counted
from noiseproof.core.records import LabelledDataset
from noiseproof.core.storage.checksums import write_record
from noiseproof.core.storage.documents import START_AGAIN, Document, read_document
from noiseproof.core.storage.files import hash_file
from noiseproof.data.sources import cleaned_card, resolve
from noiseproof.decisions.decision_files import time_of_files
from noiseproof.decisions.record import WORDS, Decision
from noiseproof.decisions.settle import with_times
from noiseproof.export.decision_columns import DECIDED_AT, DECIDED_LABEL, DECISION, DECISION_COLUMNS
from noiseproof.pipelines.inputs.cleaned_copies import (
    decided_rows,
    is_about_another_column,
    labels_before_cleaning,
    read_folder,
)

RECORD = "brought_decisions.json"
_NUM_NAMED = 3


class BroughtRecord(Document):
    """Decisions in the data of a finished search."""

    SCHEMA: ClassVar[int] = 1
    decisions: list[Decision]


@dataclass(frozen=True, eq=False)
class BroughtDecisions:
    """Decisions that data bring along.

    Attributes:
        decisions: at most one for each example.
        judged: example id -> class id of the label before cleaning; of a label that is no class any more it
            follows those of the classes.
        notes: sentences on decisions that do not count.
    """

    decisions: tuple[Decision, ...] = ()
    judged: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def open_brought(config: NoisyDataConfig, dataset: LabelledDataset) -> BroughtDecisions:
    """The decisions in the data set that `train` names; none where noise takes the place of its labels.

    Raises:
        DamagedFile: a list of labels that `noiseproof apply` wrote was changed.
    """
    rows = None if config.has_noise or dataset.has_scores else decided_rows(config, config.train)
    if rows is None:
        return BroughtDecisions()
    if is_about_another_column(config, config.train):
        note = f"The decisions of people in {dataset.name} are about another column than {config.label!r}."
        return BroughtDecisions(notes=(note,))
    known = dict(zip(map(str, dataset.ids.tolist()), dataset.given_names, strict=True))
    decided = {each: _tidied(row) for each, row in rows.items() if row[DECISION].strip() and each in known}
    changed = _with_another_label(decided, known) + _with_other_contents(config.train, decided)
    counting = {each: row for each, row in decided.items() if each not in changed}
    made = [_decision(each, row, known[each]) for each, row in counting.items()]
    decisions = tuple(with_times(made, time_of_files([Path(resolve(config.train)[1])])))
    before = labels_before_cleaning(config, config.train, dataset) if decisions else None
    labels = [] if before is None else before.labels.tolist()
    judged = {each: label for each, label in zip(known, labels, strict=False) if each in counting}
    num_excluded = cleaned_card(config.train).get("num_excluded", 0)
    notes = _notes(dataset.name, decisions, changed, num_excluded)
    return BroughtDecisions(decisions, judged, tuple(notes))


def _with_another_label(decided: Mapping[str, Mapping[str, str]], given: Mapping[str, str]) -> list[str]:
    """Ids of examples whose label was changed after the decision, or whose decision is no known word."""
    return [
        each
        for each, row in decided.items()
        if row[DECISION] not in WORDS
        or row[DECISION] == "exclude"  # somebody put the example back
        or (row[DECISION] != "unsure" and row[DECIDED_LABEL] != given[each])
    ]


def _tidied(row: Mapping[str, str]) -> dict[str, str]:
    """A row as `noiseproof apply` wrote it: spreadsheets change the case of words, and the form of times."""
    when = row[DECIDED_AT].strip()
    return {**row, DECISION: row[DECISION].strip().lower(), DECIDED_AT: when if _is_time(when) else ""}


def _is_time(text: str) -> bool:
    try:
        return bool(datetime.fromisoformat(text))
    except ValueError:
        return False


def _with_other_contents(name: str, decided: Mapping[str, Any]) -> list[str]:
    """Ids of images in class folders that are not the ones that people looked at."""
    kind, address = resolve(name)
    if kind != "folder":
        return []
    found = read_folder(Path(address))
    hashes = {} if found is None else found.hashes
    return [each for each in decided if hashes.get(each) != hash_file(Path(address) / each)]


def _decision(example_id: str, row: Mapping[str, str], given: str) -> Decision:
    values = {name: row[column] for column, name in DECISION_COLUMNS.items()}
    return Decision(example_id, **values, given_label=given)


def _notes(name: str, decisions: Sequence[Decision], changed: Sequence[str], num_excluded: int) -> list[str]:
    lines = []
    if decisions:
        verb = "counts" if len(decisions) == 1 else "count"
        gone = ""
        if num_excluded:
            were = "is" if num_excluded == 1 else "are"
            gone = f"; {counted(num_excluded, 'example')} that they excluded {were} not in these data"
        lines.append(f"{counted(len(decisions), 'decision')} of people in {name} {verb} here{gone}.")
    if changed:
        names = ", ".join(map(repr, changed[:_NUM_NAMED]))
        more = f" and {len(changed) - _NUM_NAMED:,} more" if len(changed) > _NUM_NAMED else ""
        verb, they = (
            ("does", "it or its example was") if len(changed) == 1 else ("do", "they or their examples were")
        )
        lines.append(
            f"{counted(len(changed), 'decision')} in {name} {verb} not count, since {they} "
            f"changed by hand afterwards: {names}{more}. Next: decide again."
        )
    return lines


def write_brought(folder: Path, decisions: Sequence[Decision]) -> list[str]:
    """Write the decisions that came with the data beside its suspect labels; no file without any."""
    if not decisions:
        return []
    write_record(folder / RECORD, BroughtRecord(decisions=list(decisions)).to_json())
    return [RECORD]


def read_brought(folder: Path) -> list[Decision]:
    """The decisions that came with the data of a finished search.

    Raises:
        DamagedFile: the file was changed.
    """
    if not (folder / RECORD).is_file():
        return []
    return read_document(folder / RECORD, BroughtRecord, next_step=START_AGAIN).decisions
