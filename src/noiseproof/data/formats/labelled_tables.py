"""A table with a label column and an image or text column -> `Dataset`; every tabular source ends here."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from noiseproof.core.checks import check_label_range, check_unique_ids
from noiseproof.core.errors import BadData
from noiseproof.core.records import LabelledDataset
from noiseproof.data.classes import Key, encode_labels, is_text, one_to_one, type_name
from noiseproof.data.examples import AbstractReader, FileReader, PairReader
from noiseproof.data.formats.columns import (
    Columns,
    Kind,
    check_holds_images,
    choose_columns,
    declared_classes,
)
from noiseproof.data.formats.matrix_files import feature_matrix, matrix_dataset
from noiseproof.data.formats.table_access import NUM_TELLING, LabelledTable
from noiseproof.data.lazy_dataset import lazy_dataset
from noiseproof.data.request import Request
from noiseproof.data.text_cells import is_missing_word, what_instead_of_texts

_UNKNOWN_TO_THE_HUB = -1  # of `ClassLabel` in the package `datasets`


def check_table(table: LabelledTable, owner: str) -> None:
    """Raise `BadData` for two columns of one name, or no rows."""
    if len(set(table.schema.names)) < len(table.schema.names):
        raise BadData(f"{owner!r} has two columns of one name: {', '.join(table.schema.names)}.")
    if table.num_rows == 0:
        raise BadData(f"The data set {owner!r} is empty. Next: check the path and the filters.")


def table_dataset(table: LabelledTable, request: Request) -> LabelledDataset:
    """The data set that a table holds.

    Ids come from a column `example_id` or `id`, else from paths of images where no two are alike, else they
    are `<stem>/<row number>`.

    Raises:
        BadData: no rows, unclear columns, missing labels, duplicate ids, empty cells.
    """
    check_table(table, request.name)
    columns = choose_columns(table.schema, request)
    labels, class_names = labels_of(table, columns, request)
    ids = ids_of(table, columns, request.name)
    if columns.content is None or columns.kind == "features":
        parts = [table.column(name) for name in columns.features]
        features = feature_matrix(parts, columns.features, request.name) if parts else None
        return matrix_dataset(
            features, request, labels=labels, class_names=class_names, ids=ids, label=columns.label
        )
    reader = content_reader(table, columns.kind, columns.content, columns.second, request.name)
    return lazy_dataset(
        reader, request, ids=ids, labels=labels[columns.label], class_names=class_names, kind=columns.kind,
        clean_labels=labels[columns.clean_label] if columns.clean_label else None,
    )  # fmt: skip


def row_ids(stem: str, num_rows: int) -> np.ndarray:
    """Ids of examples that have none of their own."""
    return np.array([f"{stem}/{row}" for row in range(num_rows)])


def content_reader(
    table: LabelledTable, kind: Kind, content: str, second: str | None, owner: str
) -> AbstractReader:
    """Reader of images or texts; `second` is the column of the second texts of pairs.

    Raises:
        BadData: the column holds something else.
    """
    if kind == "text":
        first = _texts(table, content, owner)
        return first if second is None else PairReader(first, _texts(table, second, owner))
    check_holds_images(table.schema, content, owner)
    return FileReader(table.cells(content), table.folder)


def _texts(table: LabelledTable, column: str, owner: str) -> AbstractReader:
    kind = table.schema.field(column).type
    values = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not is_text(values):
        raise BadData(
            f"Column {column!r} of {owner!r} holds {type_name(kind)}; allowed as `text`: strings. "
            "Next: name another column with `text`."
        )
    cells = table.cells(column)
    some = [str(cells.read(row) or "") for row in range(min(NUM_TELLING, len(cells)))]
    if (instead := what_instead_of_texts(some)) is not None:
        shown = next(cell for cell in some if not is_missing_word(cell))
        raise BadData(
            f"Column {column!r} of {owner!r} holds {instead} such as {shown!r:.80}; allowed as `text`: "
            "texts. Next: name another column with `text`."
        )
    return cells


def labels_of(
    table: LabelledTable, columns: Columns, request: Request
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Class ids of every requested label column (-1 for a label that is missing), and the class names."""
    owner = request.name
    requested = dict.fromkeys(filter(None, (columns.label, columns.clean_label)))
    names = _class_names(table, columns.label)
    declared = declared_classes(table.schema, columns.label)
    hidden = request.hidden_label if declared is None else _UNKNOWN_TO_THE_HUB
    values = {column: _without_hidden(table.column(column), hidden) for column in requested}
    if declared is not None:
        for column in values.values():
            if pa.types.is_integer(column.type):
                check_label_range(column.drop_null().to_numpy(), len(declared), owner)
    return encode_labels(values, names=names, owner=owner, missing_label=request.missing_label)


def _without_hidden(labels: pa.ChunkedArray, number: int | None) -> pa.ChunkedArray:
    """Labels with null for the number that stands for a missing one."""
    kind = labels.type
    is_number = pa.types.is_signed_integer(kind) or pa.types.is_float32(kind) or pa.types.is_float64(kind)
    if number is None or not (is_number or is_text(kind)):
        return labels
    value = pa.scalar(number if is_number else str(number), kind)
    return pc.if_else(pc.equal(labels, value), pa.scalar(None, kind), labels)


def _class_names(table: LabelledTable, label: str) -> dict[Key, str] | None:
    """Names of integer labels: in the header, or in a column of names next to `label`.

    Another label column over the same classes, such as a second annotator's, takes its names from the
    column `label`.
    """
    for column in dict.fromkeys((label, "label")):
        declared = declared_classes(table.schema, column)
        if declared is not None:
            return dict(enumerate(declared))
        sibling = f"{column}_name"
        if column in table.schema.names and sibling in table.schema.names:
            return one_to_one(table.column(column), table.column(sibling))
    return None


def ids_of(table: LabelledTable, columns: Columns, owner: str) -> np.ndarray:
    """Ids of all rows, see `table_dataset`."""
    return row_names(table, columns.example_id, columns.content if columns.kind == "image" else None, owner)


def row_names(table: LabelledTable, ids: str | None, images: str | None, owner: str) -> np.ndarray:
    """Ids of all rows: from a column of ids, else the paths of images, else numbers.

    Args:
        table: of the examples.
        ids: column of ids.
        images: column of images; rows without a path, and all where a path occurs twice, are numbered.

    Raises:
        BadData: an id is missing or occurs twice; it is named.
    """
    if ids is not None:
        return _ids_in_column(table.column(ids), ids, owner)
    rows = row_ids(table.stem, table.num_rows)
    if images is None or not is_text(table.schema.field(images).type):
        return rows
    paths = table.column(images)
    named = paths.filter(pc.and_(pc.is_valid(paths), pc.not_equal(paths, "")))
    if pc.count_distinct(named).as_py() < len(named):
        return rows
    return np.array([path or row for path, row in zip(paths.to_pylist(), rows, strict=True)])


def _ids_in_column(values: pa.ChunkedArray, column: str, owner: str) -> np.ndarray:
    missing = np.flatnonzero(pc.is_null(values).to_numpy())
    if len(missing):
        raise BadData(
            f"The id is missing in row {missing[0]} of {owner!r} (column {column!r}). "
            "Allowed: an id in every row. Next: fill it in or rename the column."
        )
    ids = np.array([str(value) for value in values.to_pylist()])
    check_unique_ids(ids, owner)
    return ids
