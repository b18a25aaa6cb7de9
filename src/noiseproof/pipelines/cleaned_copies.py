"""Evaluation on cleaned data, by a detector alone or by people: accuracy there is partly circular.

Suggested labels come from the same features that heads learn from, so a head agrees with them more often than
with the truth. People may accept suggestions, and choose which labels to look at. Cleaned data have the
labels of before beside the new ones, and both accuracies are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int

from noiseproof.config.data import DataConfig
from noiseproof.core.array_files import open_archive
from noiseproof.core.checksums import check_file, read_record
from noiseproof.core.errors import NoiseproofError
from noiseproof.core.parquet import open_file
from noiseproof.core.plurals import counted
from noiseproof.core.records import LabelledDataset, rows_by_id
from noiseproof.data.formats.delimited import read_delimited
from noiseproof.data.sources import CLEANED, open_dataset, resolve
from noiseproof.decisions.record import unescaped_text
from noiseproof.evaluate.results import DECIDED, RELABELLED
from noiseproof.export.cleaned import DECIDED_BY, DECISION, ORIGINAL
from noiseproof.export.cleaned_folder import LABELS

_HEAD_BYTES = 1 << 20
_APPLY_AGAIN = "apply the decisions again"


@dataclass(frozen=True, eq=False)
class LabelsBefore:
    """The labels of n examples before they were cleaned.

    Attributes:
        labels: class ids; those of `gone` follow the ids of the classes.
        words: the decision of people on each example, a word of `decisions.record.WORDS`, empty without one;
            `None` where a detector alone cleaned.
        gone: names of labels that are no class any more.
    """

    labels: Int[np.ndarray, " n"]
    words: np.ndarray | None = None
    gone: tuple[str, ...] = ()

    def take(self, rows: np.ndarray) -> LabelsBefore:
        """Those of some examples."""
        return replace(self, labels=self.labels[rows], words=None if self.words is None else self.words[rows])

    def name_of(self, name: str) -> str:
        """Name in the results of the evaluation set with the labels after cleaning."""
        return name + (RELABELLED if self.words is None else DECIDED)


def labels_before_cleaning(config: DataConfig, name: str, dataset: LabelledDataset) -> LabelsBefore | None:
    """The labels that cleaned data had before; `None` for other data sets.

    Args:
        config: of the columns.
        name: of the data set as the user wrote it.
        dataset: its examples, or some of them.
    """
    kind, address = resolve(name)
    if kind == "folder":
        return _of_folder(Path(address), dataset)
    if not _has_column(Path(address), ORIGINAL):
        return None
    try:
        before = open_dataset(address, label=ORIGINAL, image=config.image, text=config.text)
    except NoiseproofError:  # somebody else's column of that name
        return None
    rows, absent = rows_by_id(dataset.ids, before.ids)
    if absent:
        return None
    by_people = _has_column(Path(address), DECIDED_BY)
    words = _words(config, Path(address), dataset) if by_people else None
    return _encoded(np.array(before.class_names)[before.given_labels][rows], words, dataset)


def _encoded(before: np.ndarray, words: np.ndarray | None, dataset: LabelledDataset) -> LabelsBefore | None:
    """`None` for somebody else's column: nobody decided, and most of it is no class of the data set."""
    names = before.tolist()
    num_gone = sum(name not in dataset.class_names for name in names)
    if words is None and 2 * num_gone > len(names):
        return None
    gone = tuple(name for name in dict.fromkeys(names) if name not in dataset.class_names)
    number = {name: k for k, name in enumerate((*dataset.class_names, *gone))}
    return LabelsBefore(np.array([number[name] for name in names], np.int64), words, gone)


def _words(config: DataConfig, path: Path, dataset: LabelledDataset) -> np.ndarray:
    """The last decision on each example; a table that was cleaned again has a further column of them."""
    words = np.full(len(dataset), "", dtype=object)
    for number in range(1, 10):
        column = DECISION if number == 1 else f"{DECISION}_{number}"
        if not _has_column(path, column):
            break
        try:
            found = open_dataset(
                str(path), label=column, image=config.image, text=config.text, missing_label="skip"
            )
        except NoiseproofError:  # no decision in it
            continue
        word = dict(zip(found.ids.tolist(), found.given_labels.tolist(), strict=True))
        for row, example_id in enumerate(dataset.ids.tolist()):
            if example_id in word:
                words[row] = found.class_names[word[example_id]]
    return words


def _of_folder(folder: Path, dataset: LabelledDataset) -> LabelsBefore | None:
    """By the list of labels beside a folder of `noiseproof apply`; images that it does not have are new."""
    known = read_labels(folder)
    if known is None:
        return None
    names = np.array(dataset.class_names, dtype=object)[dataset.given_labels]
    rows = [known.get(str(each)) for each in dataset.ids.tolist()]
    before = [name if row is None else row[ORIGINAL] for name, row in zip(names, rows, strict=True)]
    words = np.array(["" if row is None else row[DECISION] for row in rows], dtype=object)
    return _encoded(np.array(before, dtype=object), words, dataset)


def read_labels(folder: Path) -> dict[str, dict[str, str]] | None:
    """Example id -> its row of `labels.csv`, of class folders that `noiseproof apply` wrote; else `None`.

    Raises:
        DamagedFile: the list is not the one that was written.
    """
    card, file = folder.parent / CLEANED, folder.parent / LABELS
    if not (card.is_file() and file.is_file()):
        return None
    content = read_record(card, next_step=_APPLY_AGAIN)
    if not isinstance(content, dict) or content.get("data") != folder.resolve().name:
        return None
    check_file(file, content["files"].get(LABELS), next_step=_APPLY_AGAIN)
    table = read_delimited(file, str(file)).to_pylist()
    return {
        row["example_id"]: row
        for row in ({key: unescaped_text(text) for key, text in each.items()} for each in table)
    }


def cleaning_notes(parts: Sequence[tuple[str, np.ndarray, LabelsBefore]]) -> list[str]:
    """Notes on cleaned evaluation sets for readers of the results.

    Args:
        parts: name, labels and labels before cleaning of each.
    """
    lines = []
    for name, labels, before in parts:
        num_changed = int((labels != before.labels).sum())
        if before.words is not None:
            lines.append(_note_on_people(name, before, before.words, num_changed))
        elif num_changed:
            lines.append(
                f"{name} is a cleaned copy: {num_changed} of its {counted(len(labels), 'label')} "
                f"{'is a suggestion' if num_changed == 1 else 'are suggestions'} of a "
                f"detector. Accuracy against them, '{before.name_of(name)}', is circular, since heads learn "
                "from the same features; the one shown first is against the labels before cleaning, which "
                "may be wrong. Next: check these labels by hand, or give a --test set that was not cleaned."
            )
        else:
            lines.append(
                f"{name} is a part of a cleaned copy: examples that looked wrong may be missing from it, so "
                "its accuracy is that of the easier ones. Next: give a --test set that was not cleaned."
            )
    return lines


def _note_on_people(name: str, before: LabelsBefore, words: np.ndarray, num_changed: int) -> str:
    num_decided = sum(word not in ("", "unsure") for word in words.tolist())
    num_accepted = sum(word == "accept" for word in words.tolist())
    accepted = (
        f"; {num_accepted} of these decisions accepted the suggestion of this tool, which comes from the "
        "features that heads learn from."
    )
    start = (
        f"People decided {num_decided or 'none'} of the {counted(len(words), 'label')} of {name}"
        f"{accepted if num_decided else '.'} Examples that people excluded are not in it."
    )
    if not num_changed:
        return f"{start} No label was changed."
    return (
        f"{start} Accuracy against the decided labels, '{before.name_of(name)}', tends to be better than on "
        "new data, also because people chose which labels to look at; the one shown first is against the "
        "labels before the decisions, which may be wrong. Next: give a --test set of which people checked "
        "every label."
    )


def _has_column(path: Path, name: str) -> bool:
    """Whether a file may have a column; only its head is read."""
    if not path.is_file():
        return False
    if path.suffix == ".parquet":
        return name in open_file(path).schema_arrow.names
    if path.suffix == ".npz":
        with open_archive(path, str(path)) as arrays:
            return name in arrays
    with path.open("rb") as file:
        return name.encode() in file.readline(_HEAD_BYTES)
