"""One decision about one label, and the answers in files that it is made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import pyarrow as pa

from noiseproof.core.class_names import label_text
from noiseproof.core.errors import BadData
from noiseproof.core.plurals import counted
from noiseproof.core.records import LabelIssues, LabelledDataset
from noiseproof.core.registry import unknown_name
from noiseproof.core.storage.files import digest
from noiseproof.core.storage.spreadsheet_cells import unescaped

WORDS = ("accept", "keep", "relabel", "exclude", "unsure")
COLUMNS = ("example_id", "decision", "label", "who", "when")
ABOUT = ("given_label", "content")  # what a decision is about, beside the id
_NUM_NAMED = 3


@dataclass(frozen=True)
class Answer:
    """One answer as a file has it.

    Attributes:
        example: id of the example, or a path that ends in it.
        decision: a word of `WORDS`; empty where only a label is given.
        label: name of a class; may be empty where there is a word.
        who: name of the person.
        when: ISO 8601.
        given_label: label that the example had; empty where the file does not say.
        content: hash of the example, see `ReviewedExamples`; likewise.
        place: of the answer in its file, for messages.
    """

    example: str
    decision: str = ""
    label: str = ""
    who: str = ""
    when: str = ""
    place: str = ""
    given_label: str = ""
    content: str = ""


@dataclass(frozen=True)
class Decision:
    """One decision about one label; what `decisions.csv` has a row for.

    Attributes:
        example_id: of the example.
        decision: a word of `WORDS`.
        label: name of the class that the example has by this decision; empty for exclude and unsure.
        who: name of the person; may be empty.
        when: ISO 8601; may be empty.
        given_label: label that the decision is about; may be empty.
        content: hash of the example that it is about, where ids are row numbers; may be empty.
    """

    example_id: str
    decision: str
    label: str = ""
    who: str = ""
    when: str = ""
    given_label: str = field(default="", compare=False)
    content: str = field(default="", compare=False)

    @property
    def is_sure(self) -> bool:
        """Whether it says what becomes of the example."""
        return self.decision != "unsure"

    @property
    def outcome(self) -> tuple[str, str]:
        """What becomes of the example: two decisions of one outcome agree."""
        return ("exclude" if self.decision == "exclude" else "label", self.label)

    @cached_property
    def time(self) -> datetime | None:
        """`when` as a time; without a zone it is UTC."""
        if not self.when:
            return None
        moment = datetime.fromisoformat(self.when)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(eq=False, repr=False)
class ReviewedExamples:
    """The examples that decisions are about, found by the ways in which files name them.

    Attributes:
        ids: of the n examples.
        given: names of their labels.
        classes: names of the classes.
        suggested: names of the labels that a detector suggests; none where no search is read.
        is_issue: its flags.
        identity: of the examples and their labels, by which the log of a review knows them.
        new_classes: whether labels may be classes that the data does not have.
        may_have_others: whether decisions on other examples are passed over.
        contents: hash of each example, where ids are row numbers and would name others after a row is
            inserted; see `data.fingerprints.content_hashes`.
        brought: decisions that the data bring along, since people made them before it was cleaned.
    """

    ids: Sequence[str]
    given: Sequence[str]
    classes: Sequence[str]
    suggested: Sequence[str] = ()
    is_issue: Sequence[bool] = ()
    identity: str | None = None
    new_classes: bool = False
    may_have_others: bool = False
    contents: Sequence[str] = ()
    brought: Sequence[Decision] = ()

    @classmethod
    def of_issues(
        cls, issues: LabelIssues, *, fingerprint: str | None = None, identity: str | None = None
    ) -> ReviewedExamples:
        """The examples of a search; with their fingerprint or identity, a log can be read, too."""
        given = [str(each) for each in issues.named(issues.given_labels)]
        if fingerprint is not None:
            identity = identity_of(fingerprint, issues.ids, given, issues.class_names)
        return cls(
            [str(each) for each in issues.ids.tolist()],
            given,
            issues.class_names or [label_text(each) for each in issues.classes.tolist()],
            [str(each) for each in issues.named(issues.suggested_labels)],
            issues.is_issue.tolist(),
            identity,
        )

    @classmethod
    def of_dataset(cls, dataset: LabelledDataset) -> ReviewedExamples:
        """The examples of a data set, before any search."""
        given = dataset.given_names
        identity = identity_of(dataset.fingerprint, dataset.ids, given, dataset.class_names)
        ids = [str(each) for each in dataset.ids.tolist()]
        return cls(ids, given, dataset.class_names, identity=identity)

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def row(self) -> dict[str, int]:
        """Row of each id."""
        return {example_id: row for row, example_id in enumerate(self.ids)}

    @property
    def flagged(self) -> list[str]:
        """Ids of the examples whose labels look wrong."""
        return [one for one, is_issue in zip(self.ids, self.is_issue, strict=True) if is_issue]

    @cached_property
    def _known(self) -> set[str]:
        return set(self.classes)

    @cached_property
    def _row_by_stem(self) -> dict[str, int]:
        """Rows by ids without their file name suffix, where no two are alike."""
        stems: dict[str, list[int]] = {}
        for row, example_id in enumerate(self.ids):
            stem = example_id.rpartition(".")[0] or example_id
            stems.setdefault(stem, []).append(row)
        return {stem: rows[0] for stem, rows in stems.items() if len(rows) == 1}

    def find(self, name: str) -> int | None:
        """Row of an example by its id, escaped or not, or by a path that ends in it."""
        for text in dict.fromkeys((name, unescaped_text(name), name.strip())):
            parts = text.replace("\\", "/").split("/")
            for start in range(len(parts)):
                end = text if start == 0 else "/".join(parts[start:])
                if end in self.row:
                    return self.row[end]
            if text in self._row_by_stem:
                return self._row_by_stem[text]
        return None

    def change_since(self, answer: Answer) -> str | None:
        """How an example has changed since somebody decided, a clause; `None` if it has not, or is unknown.

        A label that has become the decided one since is no change: somebody carried the decision out.
        """
        row = self.find(answer.example)
        if row is None:
            return None
        if answer.content and self.contents and answer.content != self.contents[row]:
            return "is another example now (ids are row numbers; if not, empty its `content`)"
        about, given = answer.given_label.strip(), self.given[row]
        if not about and answer.decision.strip().lower() == "keep":
            about = answer.label.strip()
        label = self.class_of(answer.label) or unescaped_text(answer.label.strip())
        if not about or given in (self.class_of(about) or unescaped_text(about), label):
            return None
        return f"had the label {about!r} and has {given!r} now"

    def class_of(self, text: str) -> str | None:
        """The class of this name, also as spreadsheets write it; `None` if there is none."""
        plain = text.strip()
        for name in (text, plain, unescaped_text(plain), plain.removesuffix(".0")):
            if name in self._known:
                return name
        return None


def to_decisions(answers: Iterable[Answer], examples: ReviewedExamples, owner: str) -> list[Decision]:
    """Check answers against the examples and make decisions of them; those without any content are left out.

    Raises:
        BadData: an unknown example, an example or a label that has changed since, an unknown word, a label
            that is no class, or a time that cannot be read.
    """
    given = [one for one in answers if one.decision.strip() or one.label.strip()]
    rows = [examples.find(one.example) for one in given]
    if not examples.may_have_others:
        _check_known([one for one, row in zip(given, rows, strict=True) if row is None], len(given), owner)
    _check_same([one for one in given if examples.change_since(one)], len(given), examples, owner)
    decisions = [
        _decision(one, row, examples, owner) for one, row in zip(given, rows, strict=True) if row is not None
    ]
    _check_classes(decisions, examples, owner)
    return decisions


def _check_known(unknown: list[Answer], num: int, owner: str) -> None:
    if unknown:
        some = ", ".join(repr(one.example) for one in unknown[:_NUM_NAMED])
        raise BadData(
            f"`decisions` {owner!r} decides on {some} ({len(unknown)} of {counted(num, 'decision')}), which "
            "are no examples here; allowed: the ids of label_issues.csv. Next: name the folder that these "
            "decisions were made in."
        )


def _check_same(changed: list[Answer], num: int, examples: ReviewedExamples, owner: str) -> None:
    if changed:
        first = changed[0]
        raise BadData(
            f"{len(changed)} of {counted(num, 'decision')} in {owner!r} cannot be about this data: "
            f"{first.example!r} {examples.change_since(first)}. Allowed: decisions about the examples and "
            "labels here. Next: name the folder that they were made in, or delete these rows."
        )


def _decision(answer: Answer, row: int, examples: ReviewedExamples, owner: str) -> Decision:
    word, given = answer.decision.strip().lower(), examples.given[row]
    suggested = examples.suggested[row] if examples.suggested else ""
    label = "" if not answer.label.strip() else examples.class_of(answer.label) or answer.label.strip()
    where = f"{answer.place} of {owner!r}"
    if word and word not in WORDS:
        raise unknown_name(f"decision in {where}:", word, WORDS)
    if not word:
        word = "keep" if label == given else "accept" if label == suggested else "relabel"
    if word == "relabel" and not label:
        raise BadData(
            f"{where} is a relabel without a label; allowed: the name of a class. Next: fill in `label`."
        )
    if word == "accept" and not (label or suggested):
        raise BadData(
            f"{where} accepts a suggestion that is not here; allowed: the suggested class in `label`. Next: "
            "fill it in, or give the file to 'noiseproof apply' with the folder of the suggestions."
        )
    label = {"keep": given, "accept": label or suggested, "relabel": label}.get(word, "")
    who, when = unescaped_text(answer.who.strip()), answer.when.strip()
    about = answer.given_label.strip()
    given_label = (examples.class_of(about) or unescaped_text(about)) if about else given
    content = answer.content or (examples.contents[row] if examples.contents else "")
    made = Decision(examples.ids[row], word, label, who, when, given_label, content)
    try:
        _ = made.time
    except ValueError as error:
        raise BadData(
            f"`when` in {where} is {made.when!r}; allowed: ISO 8601, such as 2026-11-30T17:00:00Z, or "
            "nothing. Next: correct it, or save the file again if it was cut."
        ) from error
    return made


def _check_classes(decisions: list[Decision], examples: ReviewedExamples, owner: str) -> None:
    strange = [one for one in decisions if one.label and one.label not in examples.classes]
    if strange and not examples.new_classes:
        names = list(dict.fromkeys(one.label for one in strange))
        known = unknown_name("class", names[0], examples.classes)
        has = "has a label that is" if len(strange) == 1 else "have labels that are"
        meant = "it is" if len(names) == 1 else "they are"
        raise BadData(
            f"{counted(len(strange), 'decision')} of {owner!r} {has} no class of the data, such as that of "
            f"{strange[0].example_id!r}. {known} Next: correct them, or, if {meant} meant as new, allow it "
            "with `allow_new_class`."
        )


def identity_of(fingerprint: str, ids: np.ndarray, given: Sequence[str], class_names: Sequence[str]) -> str:
    """SHA-256 of what decisions are about: examples, given labels and classes; not of the detector."""
    return digest([fingerprint, ids.astype(str), list(given), tuple(class_names)])


def unescaped_text(text: str) -> str:
    """The text without the apostrophe that keeps a spreadsheet from running it."""
    return str(unescaped(pa.chunked_array([[text]]))[0].as_py()) if text.startswith("'") else text
