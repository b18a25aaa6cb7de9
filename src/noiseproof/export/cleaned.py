"""A copy of the data set without wrong labels: by the suggestions of a detector, or by decisions of people.

Only flagged or decided rows change. A table stays the same table; images in class folders become a table of
their paths, because copying gigabytes of images would add nothing. In both, `original_label` has the judged
label; the column is `original_label_2` where the table has an `original_label` already. Paths are relative
to the new file, and ids are those of the data set, so its features are found again. Where people alone
decided, `DECISION_COLUMNS` stand beside, and a second cleaning writes into the same columns: `original_label`
stays the one before the first.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from noiseproof.core.errors import BadData, invalid
from noiseproof.core.records import LabelIssues, rows_by_id
from noiseproof.core.storage.array_files import open_archive
from noiseproof.core.storage.files import replacing
from noiseproof.core.storage.parquet import explained, open_file
from noiseproof.data.classes import is_text, one_to_one
from noiseproof.data.examples import files_of, moved_path
from noiseproof.data.formats.columns import Columns, choose_columns, declared_classes
from noiseproof.data.formats.labelled_tables import ids_of, labels_of, row_ids
from noiseproof.data.formats.npz_files import id_array, label_array
from noiseproof.data.formats.table_access import LabelledTable
from noiseproof.data.formats.text_tables import read_text_table, write_text_table
from noiseproof.export.decision_columns import ORIGINAL, columns_by_people, original_column
from noiseproof.export.edits import Cleaning, Edits, Way, compute_edits
from noiseproof.export.new_classes import with_new_classes, with_new_values
from noiseproof.export.source import TABLES, Source, open_table, require_source


def write_by_rule(
    issues: LabelIssues, path: Path, source: Source | None, home: Path, *, way: Way
) -> list[Path]:
    """The data set without the examples whose labels look wrong, or with the suggested labels for these."""
    known = require_source(source, f"cleaned-{way}")
    return write_cleaned(Cleaning(issues, way, known.decisions), path, known, home)


def write_cleaned(cleaning: Cleaning, path: Path, source: Source, home: Path) -> list[Path]:
    """Write a cleaned copy.

    Args:
        cleaning: the labels that were judged, and what to do with them.
        path: the new file, with the suffix of `cleaned_suffix`.
        source: the data set.
        home: final folder of the file, to which image paths are relative.

    Raises:
        InvalidArgument: the data set is no table, archive or folder of images, or `path` has another suffix.
        BadData: the issues are of another data set, or it cannot have a new class.
    """
    wanted = cleaned_suffix(source, f"cleaned-{cleaning.way or 'copy'}")
    if path.suffix.lower() != wanted:
        raise invalid("path", str(path), f"a name that ends in {wanted!r}, as the data set is of that kind")
    if source.kind in TABLES:
        _write_table(cleaning, path, source, home)
    elif source.kind == "npz":
        _write_archive(cleaning, path, source)
    else:
        _write_list(cleaning, path, source, home)
    return [path]


def cleaned_suffix(source: Source, export: str) -> str:
    """File name suffix of a cleaned copy.

    Raises:
        InvalidArgument: no cleaned copy of such data can be made.
    """
    if source.kind in (*TABLES, "npz"):
        return f".{source.kind}"
    if source.has_files:
        return ".csv"
    raise invalid(
        "export", export, "a cleaned copy of a table, of an .npz file or of images in files",
        f"{source.request.name!r} is none of these. Next: take json, which has the ids, or label_issues.csv.",
    )  # fmt: skip


def _write_table(cleaning: Cleaning, path: Path, source: Source, home: Path) -> None:
    owner, origin = source.request.name, source.path
    is_parquet = source.kind == "parquet"
    table = open_table(origin, owner)
    columns = choose_columns(table.schema, source.request)
    encoded, class_names = labels_of(table, columns, source.request)
    ids = ids_of(table, columns, owner)
    changes = compute_edits(
        cleaning, ids=ids, labels=encoded[columns.label], class_names=class_names, owner=owner
    )
    values = _values(table, columns, encoded, len(class_names))
    if new := changes.class_names[len(class_names) :]:
        values = with_new_classes(values, new, declared_classes(table.schema, columns.label), owner)
    parts = _row_groups(origin) if is_parquet else iter([read_text_table(origin, owner)])
    by_people = columns_by_people(cleaning, changes, dict.fromkeys(table.schema.names, table.column))
    cleaned = _cleaned_parts(
        parts, columns, changes, encoded[columns.label], values, ids, by_people, origin.parent, home
    )
    with replacing(path) as partial:
        _write_parts(cleaned, partial, path.suffix.lower(), origin)


def _values(
    table: LabelledTable, columns: Columns, encoded: dict[str, np.ndarray], num_classes: int
) -> dict[str, pa.Array]:
    """Cell values of each class, in the label column and in a column of names or numbers beside it."""
    number = columns.label.removesuffix("_name")
    both = (number, f"{number}_name")
    is_pair = set(both) <= set(table.schema.names) and one_to_one(*map(table.column, both))
    # Otherwise the other column would contradict the labels.
    changed = both if is_pair else (columns.label,)
    return {one: _value_of_classes(table, columns, encoded, one, num_classes) for one in changed}


def _value_of_classes(
    table: LabelledTable, columns: Columns, encoded: dict[str, np.ndarray], column: str, num_classes: int
) -> pa.Array:
    """The first cell of each class in a column, or in that of true labels for a class that only they have."""
    kind = _plain(table.column(column).type)
    cells: list[Any] = [None] * num_classes
    of_labels = {columns.label: column} | (
        {columns.clean_label: columns.clean_label} if columns.clean_label else {}
    )
    for labels, shown in reversed(of_labels.items()):
        classes, first = np.unique(encoded[labels], return_index=True)
        first, classes = first[classes >= 0], classes[classes >= 0]  # -1 is a missing label
        taken = table.column(shown).take(pa.array(first)).cast(_plain(table.column(shown).type))
        for number, cell in zip(classes.tolist(), taken.cast(kind).to_pylist(), strict=True):
            cells[number] = cell
    return pa.array(cells, kind)


def _cleaned_parts(
    parts: Iterable[pa.Table],
    columns: Columns,
    changes: Edits,
    labels: np.ndarray,
    values: dict[str, pa.Array],
    ids: np.ndarray,
    by_people: dict[str, np.ndarray],
    folder: Path,
    home: Path,
) -> Iterator[pa.Table]:
    start = 0
    for part in parts:
        rows = slice(start, start + len(part))
        start += len(part)
        given = _replaced(
            part.column(columns.label), changes.judged[rows], labels[rows], values[columns.label]
        )
        original = original_column(part.schema.names, by_people)
        if original not in part.schema.names:
            part = part.append_column(original, given)
        for name, texts in by_people.items():
            part = _with_column(part, name, pa.chunked_array([pa.array(texts[rows], pa.string())]))
        for column, cells in values.items():
            part = _set_column(
                part, column, _replaced(part.column(column), changes.final[rows], labels[rows], cells)
            )
        if columns.kind == "image" and columns.content is not None:
            part = _set_column(part, columns.content, _relocate(part.column(columns.content), folder, home))
        if columns.example_id is None:
            part = part.add_column(0, "example_id", pa.array(ids[rows]))
        yield part.filter(pa.array(~changes.is_dropped[rows]))


def _replaced(
    column: pa.ChunkedArray, wanted: np.ndarray, now: np.ndarray, values: pa.Array
) -> pa.ChunkedArray:
    """Replace the cells whose class changes; other cells keep their value."""
    is_new = pa.chunked_array([pa.array(wanted != now)])
    taken = values.take(pa.array(np.maximum(wanted, 0)))  # a missing label is -1 and stays as it is
    return pc.if_else(is_new, taken, column.cast(values.type))


def _relocate(cells: pa.ChunkedArray, folder: Path, home: Path) -> pa.ChunkedArray:
    if pa.types.is_struct(cells.type):
        if cells.null_count or pc.any(pc.is_null(pc.struct_field(cells, "bytes"))).as_py():
            raise BadData(
                "The image column has paths in structs; allowed in a cleaned copy: encoded images, or a "
                "column of paths. Next: save the table with one of these."
            )
        return cells
    if not is_text(cells.type):
        return cells
    return pa.chunked_array(
        [pa.array([moved_path(cell, folder, home) for cell in cells.to_pylist()], cells.type)]
    )


def _with_column(table: pa.Table, name: str, cells: pa.ChunkedArray) -> pa.Table:
    return _set_column(table, name, cells) if name in table.schema.names else table.append_column(name, cells)


def _set_column(table: pa.Table, column: str, cells: pa.ChunkedArray) -> pa.Table:
    place = table.schema.get_field_index(column)
    return table.set_column(place, table.schema.field(place).with_type(cells.type), cells)


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _row_groups(path: Path) -> Iterator[pa.Table]:
    """Read one row group at a time, since images may fill the memory."""
    file = open_file(path)
    for group in range(file.num_row_groups):
        with explained(path):
            part = file.read_row_group(group)
        yield part


def _write_parts(parts: Iterator[pa.Table], path: Path, suffix: str, origin: Path) -> None:
    if suffix == ".parquet":
        first = next(parts)
        with pq.ParquetWriter(path, first.schema) as writer:
            writer.write_table(first)
            for part in parts:
                writer.write_table(part)
        return
    (whole,) = parts
    write_text_table(whole, path, origin)


def _write_list(cleaning: Cleaning, path: Path, source: Source, home: Path) -> None:
    """Images in files, as a CSV table of their paths."""
    whole, owner = source.whole, source.request.name
    files = files_of(whole.examples)
    if files is None:
        raise BadData(f"{owner!r} has examples without a file; allowed: a file for every example.")
    changes = compute_edits(
        cleaning, ids=whole.ids, labels=whole.given_labels, class_names=whole.class_names, owner=owner
    )
    names, by_people = changes.class_names, columns_by_people(cleaning, changes, {})
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["example_id", "path", "label", ORIGINAL, *by_people])
        for row in np.flatnonzero(~changes.is_dropped).tolist():
            image = moved_path(str(files[row]), Path(), home)
            labels = (names[changes.final[row]], names[changes.judged[row]])
            out.writerow([whole.ids[row], image, *labels, *(cells[row] for cells in by_people.values())])


def _write_archive(cleaning: Cleaning, path: Path, source: Source) -> None:
    """Features with their labels; the archive keeps its other arrays."""
    whole, owner = source.whole, source.request.name
    with open_archive(source.path, owner) as archive:
        arrays = dict(archive)
    label = label_array(arrays, source.request)
    for name in (label, source.request.clean_label):
        if name is not None and arrays[name].shape[1:] == (1,):  # a column, which is read as well
            arrays[name] = arrays[name].ravel()
    given = arrays[label]
    own_ids = id_array(arrays)
    ids = row_ids(source.path.stem, len(given)) if own_ids is None else own_ids
    rows, _ = rows_by_id(whole.ids, ids)  # those that have a label
    encoded = np.full(len(ids), -1)
    encoded[rows] = whole.given_labels
    changes = compute_edits(cleaning, ids=ids, labels=encoded, class_names=whole.class_names, owner=owner)
    values = _label_values(arrays, given, rows, source)
    if new := changes.class_names[len(values) :]:
        values = with_new_values(values, new, arrays, owner)
    by_people = columns_by_people(cleaning, changes, dict.fromkeys(arrays, arrays.__getitem__))
    original = original_column(arrays, by_people)
    arrays.setdefault(original, np.where(changes.judged == encoded, given, values[changes.judged]))
    arrays[label] = np.where(changes.final == encoded, given, values[changes.final])
    if own_ids is None:
        arrays["ids"] = ids
    arrays |= {name: texts.astype(str) for name, texts in by_people.items()}
    kept = ~changes.is_dropped
    parts = {
        name: array[kept] if name != "class_names" and array.shape[:1] == kept.shape else array
        for name, array in arrays.items()
    }
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **parts)


def _label_values(
    arrays: dict[str, np.ndarray], given: np.ndarray, rows: np.ndarray, source: Source
) -> np.ndarray:
    """The value of each class in the array of labels."""
    whole = source.whole
    values = given[:1].repeat(len(whole.class_names))
    if "class_names" in arrays and given.dtype.kind in "iubf":
        values = np.arange(len(values)).astype(given.dtype)
    elif source.request.clean_label and whole.clean_labels is not None:
        truth = arrays[source.request.clean_label]
        values = values.astype(np.result_type(given, truth))  # a longer word would be cut
        values[whole.clean_labels] = truth[rows]
    values[whole.given_labels] = given[rows]
    return values
