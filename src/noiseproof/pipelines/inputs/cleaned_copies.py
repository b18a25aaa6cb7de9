"""Evaluation on cleaned data, by a detector alone or by people: accuracy there is partly circular.

Suggested labels come from the same features that heads learn from, so a head agrees with them more often than
with the truth. People may accept suggestions, and choose which labels to look at. Cleaned data have the
labels of before beside the new ones, and both accuracies are shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int

from noiseproof.config.data import DataConfig
from noiseproof.core.errors import NoiseproofError
from noiseproof.core.plurals import counted
from noiseproof.core.records import LabelledDataset, rows_by_id
from noiseproof.core.storage.array_files import open_archive
from noiseproof.core.storage.checksums import check_file
from noiseproof.core.storage.documents import read_document
from noiseproof.core.storage.parquet import open_file
from noiseproof.data.formats.columns import choose_columns
from noiseproof.data.formats.delimited import DELIMITERS, read_delimited
from noiseproof.data.formats.labelled_tables import ids_of, row_ids
from noiseproof.data.formats.npz_files import id_array
from noiseproof.data.formats.text_tables import read_text_table
from noiseproof.data.request import Request
from noiseproof.data.sources import (
    APPLY_AGAIN,
    applied_card,
    cleaned_card,
    open_dataset,
    resolve,
    with_own_columns,
)
from noiseproof.decisions.record import unescaped_text
from noiseproof.evaluate.results import DECIDED, RELABELLED
from noiseproof.export.cleaned_folder import INSIDE, LABELS, FolderDecisions
from noiseproof.export.decision_columns import DECISION, DECISION_COLUMNS, ORIGINAL, decided_suffix, texts_of
from noiseproof.export.source import open_table

_HEAD_BYTES = 1 << 20
_COPY_AGAIN = "copy the folder again from where noiseproof apply wrote it, or delete this file"


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
    """The labels that cleaned data had before; `None` for other data sets."""
    kind, address = resolve(name)
    rows = decided_rows(config, name)
    if kind == "folder":
        return None if rows is None else _of_folder(rows, dataset)
    names = _columns_of(Path(address))
    end = decided_suffix(names) or ""
    if f"{ORIGINAL}{end}" not in names or is_about_another_column(config, name):
        return None
    try:
        before = open_dataset(address, label=f"{ORIGINAL}{end}", image=config.image, text=config.text)
    except NoiseproofError:  # somebody else's column of that name
        return None
    places, absent = rows_by_id(dataset.ids, before.ids)
    if absent:
        return None
    words = None if rows is None else _words(rows, dataset)
    return _encoded(np.array(before.class_names)[before.given_labels][places], words, dataset)


def decided_rows(config: DataConfig, name: str) -> dict[str, dict[str, str]] | None:
    """Example id -> the texts of `DECISION_COLUMNS` of a data set that people cleaned; `None` for others.

    Raises:
        DamagedFile: the list of labels of class folders was changed.
    """
    kind, address = resolve(name)
    path = Path(address)
    if kind == "folder":
        found = read_folder(path)
        return None if found is None else found.rows
    end = decided_suffix(_columns_of(path))
    if end is None:
        return None
    request = with_own_columns(Request(name, label=config.label, image=config.image, text=config.text))
    columns = {column: f"{column}{end}" for column in DECISION_COLUMNS}
    ids, texts = _texts(path, request, list(columns.values()))
    cells = zip(*(texts[column] for column in columns.values()), strict=True)
    return {example: dict(zip(columns, row, strict=True)) for example, row in zip(ids, cells, strict=True)}


def is_about_another_column(config: DataConfig, name: str) -> bool:
    """Whether people decided on another column of labels than the one that the user names."""
    columns = cleaned_card(name).get("columns")
    decided = columns.get("label") if isinstance(columns, dict) else None
    return None not in (decided, config.label) and decided != config.label


def _texts(path: Path, request: Request, names: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Ids, and columns as texts."""
    if path.suffix.lower() == ".npz":
        with open_archive(path, request.name) as arrays:
            own, texts = id_array(arrays), {name: texts_of(arrays[name]) for name in names}
        ids = row_ids(path.stem, len(texts[names[0]])) if own is None else own
        return [str(each) for each in ids], texts
    table = open_table(path, request.name)
    ids = ids_of(table, choose_columns(table.schema, request), request.name)
    return [str(each) for each in ids], {name: texts_of(table.column(name)) for name in names}


def _encoded(before: np.ndarray, words: np.ndarray | None, dataset: LabelledDataset) -> LabelsBefore | None:
    """`None` for somebody else's column: nobody decided, and most of it is no class of the data set."""
    names = before.tolist()
    num_gone = sum(name not in dataset.class_names for name in names)
    if words is None and 2 * num_gone > len(names):
        return None
    gone = tuple(name for name in dict.fromkeys(names) if name not in dataset.class_names)
    number = {name: k for k, name in enumerate((*dataset.class_names, *gone))}
    return LabelsBefore(np.array([number[name] for name in names], np.int64), words, gone)


def _words(rows: Mapping[str, Mapping[str, str]], dataset: LabelledDataset) -> np.ndarray:
    """The decision on each example, a word."""
    words = (rows.get(str(each), {}).get(DECISION, "") for each in dataset.ids.tolist())
    return np.array(list(words), dtype=object)


def _of_folder(rows: Mapping[str, Mapping[str, str]], dataset: LabelledDataset) -> LabelsBefore | None:
    """By the list of labels beside a folder of `noiseproof apply`; images that it does not have are new."""
    names = dataset.given_names
    ids = [str(each) for each in dataset.ids.tolist()]
    before = [rows[each][ORIGINAL] if each in rows else name for each, name in zip(ids, names, strict=True)]
    return _encoded(np.array(before, dtype=object), _words(rows, dataset), dataset)


def read_folder(folder: Path) -> FolderDecisions | None:
    """What people decided about class folders that `noiseproof apply` wrote; `None` for others.

    Beside `applied.json` its list of labels counts, elsewhere the record in the folder.

    Raises:
        DamagedFile: the one that counts is not as it was written.
    """
    card, name, inside = applied_card(folder.parent), folder.resolve().name, folder / INSIDE
    file = folder.parent / LABELS
    if not file.is_file() or card.get("data") != name:
        is_ours = inside.is_file()
        return read_document(inside, FolderDecisions, next_step=_COPY_AGAIN) if is_ours else None
    check_file(file, card["files"].get(LABELS), next_step=APPLY_AGAIN)
    table = read_delimited(file, str(file)).to_pylist()
    rows = [{key: unescaped_text(text) for key, text in each.items()} for each in table]
    hashes = {row["example_id"]: card["files"].get(f"{name}/{row['example_id']}", "") for row in rows}
    return FolderDecisions(rows={row["example_id"]: row for row in rows}, hashes=hashes)


def cleaning_notes(parts: Sequence[tuple[str, np.ndarray, LabelsBefore]]) -> list[str]:
    """Notes on cleaned evaluation sets for readers of the results."""
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


def _columns_of(path: Path) -> list[str]:
    """Names of the columns or arrays of a file; of other data sets none. Only its head is read."""
    suffix = path.suffix.lower()
    if not path.is_file():
        return []
    if suffix == ".parquet":
        return list(open_file(path).schema_arrow.names)
    if suffix == ".npz":
        with open_archive(path, str(path)) as arrays:
            return list(arrays)
    if suffix not in (*DELIMITERS, ".jsonl"):
        return []
    with path.open("rb") as file:  # most tables are nobody's cleaned copy
        is_ours = ORIGINAL.encode() in file.readline(_HEAD_BYTES)
    return list(read_text_table(path, str(path)).schema.names) if is_ours else []
