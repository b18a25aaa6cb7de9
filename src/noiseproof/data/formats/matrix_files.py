"""A matrix of features with its labels as a data set, from arrays or from the columns of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float

from noiseproof.core.arrays import is_number, native
from noiseproof.core.checks import check_finite, check_label_range
from noiseproof.core.class_names import label_text
from noiseproof.core.errors import BadData
from noiseproof.core.records import LabelledDataset
from noiseproof.data.classes import encode_labels, is_text
from noiseproof.data.examples import Rows
from noiseproof.data.fingerprints import derived_fingerprint, matrix_fingerprint
from noiseproof.data.readable import leave_out, missing_label_reasons
from noiseproof.data.request import MissingLabel, Request


def matrix_dataset(
    features: np.ndarray | None,
    request: Request,
    *,
    labels: Mapping[str, np.ndarray],
    class_names: tuple[str, ...],
    ids: np.ndarray,
    label: str,
) -> LabelledDataset:
    """The data set of a matrix; it is checked, and held in memory.

    Args:
        features: (n, d) numbers; `None` for a table of labels only, whose examples have no features.
        labels: column -> n class ids; -1 where the label is missing.
        ids: n texts.
        label: column of the given labels.

    Raises:
        BadData: an array has another shape, or features are NaN, infinite or outside the range of float32.
    """
    if features is None:
        features, fingerprint = np.empty((len(ids), 0), np.float32), derived_fingerprint("labels", ids)
    else:
        features = checked_matrix(features, request.name)
        fingerprint = matrix_fingerprint(features, ids)
    clean = labels[request.clean_label] if request.clean_label else None
    whole = LabelledDataset(
        name=request.name,
        kind="features",
        examples=Rows(features),
        ids=ids,
        given_labels=np.maximum(labels[label], 0),
        class_names=class_names,
        fingerprint=fingerprint,
        clean_labels=None if clean is None else np.maximum(clean, 0),
    )
    return leave_out(whole, missing_label_reasons(labels))


def encode_arrays(
    columns: Mapping[str, np.ndarray], class_names: np.ndarray | None, request: Request
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Class ids and class names of arrays of labels of any type.

    Whole numbers and booleans index `class_names` where that is given; other labels are classes themselves.
    """
    columns = {name: _plain_labels(values, name, request.name) for name, values in columns.items()}
    names = () if class_names is None else tuple(map(label_text, class_names.ravel()))
    ids = {name: _as_ids(values, request.missing_label) for name, values in columns.items()}
    if not names or any(values is None for values in ids.values()):
        arrow = {name: pa.chunked_array([pa.array(values)]) for name, values in columns.items()}
        return encode_labels(arrow, owner=request.name, missing_label=request.missing_label)
    known = {name: values for name, values in ids.items() if values is not None}
    for name, values in known.items():
        is_missing = (values == -1) & (columns[name] != -1)
        check_label_range(np.where(is_missing, 0, values), len(names), request.name)
    return known, names


def _as_ids(values: np.ndarray, missing_label: MissingLabel) -> np.ndarray | None:
    """Whole numbers and booleans as class ids, NaN as -1; `None` for other labels."""
    if values.dtype.kind in "iub":
        return values.astype(np.int64)
    if values.dtype.kind != "f":
        return None
    missing = np.isnan(values)
    numbers = np.where(missing, -1, values)
    is_whole = bool((np.abs(numbers) < 2**53).all() and (numbers == np.floor(numbers)).all())
    return numbers.astype(np.int64) if is_whole and (missing_label == "skip" or not missing.any()) else None


def _plain_labels(values: np.ndarray, name: str, owner: str) -> np.ndarray:
    """Labels in a type that Arrow reads: texts for bytes, numbers in the order of bytes of this machine."""
    if values.ndim != 1:
        raise BadData(
            f"`{name}` of {owner!r} has shape {values.shape}; allowed: one "
            "label per example, (n,). Data with several labels per example (multi-label) is not supported. "
            f"Next: if each row has a single 1, save {name}.argmax(axis=1)."
        )
    if values.dtype.kind not in "biufUSO":
        raise BadData(
            f"`{name}` of {owner!r} has the type {values.dtype}; allowed as labels: whole numbers, texts or "
            "booleans. Next: save it in one of these."
        )
    if values.dtype.kind == "S":
        return _decoded(values, name, owner)
    return native(values)


def _decoded(values: np.ndarray, name: str, owner: str) -> np.ndarray:
    try:
        return np.char.decode(values, "utf-8")
    except UnicodeDecodeError as error:
        raise BadData(
            f"`{name}` of {owner!r} has the bytes {error.object[:40]!r}, which are not UTF-8; allowed: texts "
            "in UTF-8. Next: save them as an array of dtype str."
        ) from error


def checked_matrix(features: np.ndarray, owner: str) -> np.ndarray:
    """Finite real numbers (n, d) in the order of bytes of this machine; anything else raises `BadData`."""
    if features.ndim != 2 or features.shape[1] == 0 or features.dtype.kind not in "fiub":
        raise BadData(
            f"`features` of {owner!r} has shape {features.shape} and dtype {features.dtype}; allowed: real "
            "numbers (n, d), d at least 1. Next: flatten each example to one row."
        )
    if features.dtype.kind != "f":
        features = features.astype(np.float32)
    features = native(features)
    check_finite(features, f"features of {owner}")
    _check_float32(features, owner)
    return features


def _check_float32(features: np.ndarray, owner: str) -> None:
    """Heads and stored features are float32; beyond its range they would be infinite."""
    if features.dtype.itemsize <= 4:
        return
    limit = np.finfo(np.float32).max
    rows = np.flatnonzero((np.abs(features) > limit).any(axis=1))
    if len(rows):
        raise BadData(
            f"`features` of {owner!r} has a value of {np.abs(features[rows[0]]).max():.3g} in row {rows[0]} "
            f"({len(rows)} such rows), outside the range of float32; allowed: -{limit:.3g} to {limit:.3g}. "
            "Next: scale the features."
        )


def check_rows(name: str, values: Any, features: np.ndarray, owner: str) -> None:
    """Raise `BadData` unless there is one value for each row of the features."""
    if values.shape != features.shape[:1]:
        raise BadData(
            f"`{name}` of {owner!r} has shape {values.shape}, `features` {features.shape}; "
            f"allowed: {features.shape[:1]}. Next: save a value per row of the features."
        )


def feature_matrix(
    columns: Sequence[pa.ChunkedArray], names: Sequence[str], owner: str
) -> Float[np.ndarray, "n d"]:
    """The features that are in one column of lists, or in one column for each number.

    Raises:
        BadData: a cell is empty or no number, or a list has another length; the row is named.
    """
    if len(columns) == 1 and not is_text(columns[0].type) and pa.types.is_nested(columns[0].type):
        return _stacked(columns[0], names[0], owner)
    matrix = np.empty((len(columns[0]), len(columns)), np.float32)
    for place, (column, name) in enumerate(zip(columns, names, strict=True)):
        matrix[:, place] = _numbers(column, name, owner)
    return matrix


def _stacked(column: pa.ChunkedArray, name: str, owner: str) -> np.ndarray:
    """A column of lists of one length, as rows."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    usual = int(np.bincount(lengths).argmax())
    odd = np.flatnonzero((lengths != usual) | (lengths == 0))
    if len(odd):
        raise BadData(
            f"Column {name!r} of {owner!r} has {lengths[odd[0]]} numbers in row {odd[0]} ({len(odd)} such "
            f"rows), {usual} in most; allowed: as many in each. Next: make all features with one encoder, "
            "and drop rows without."
        )
    values = pc.list_flatten(column)
    if values.null_count:
        raise BadData(
            f"Column {name!r} of {owner!r} has {values.null_count} empty numbers in its lists; allowed: "
            "numbers. Next: fill them in or drop these rows."
        )
    return values.to_numpy().reshape(-1, usual)


def _numbers(column: pa.ChunkedArray, name: str, owner: str) -> np.ndarray:
    """A column of numbers, or of texts of numbers, as in a CSV file."""
    values = column
    if is_text(column.type):
        values = pc.utf8_trim_whitespace(column)
        try:
            return pc.cast(values, pa.float32()).to_numpy()
        except pa.ArrowInvalid:
            pass
    elif not column.null_count and (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        return column.to_numpy()
    row = next(row for row, cell in enumerate(values.to_pylist()) if not is_number(str(cell)))
    comma = " A decimal comma is not read." if "," in str(values[row].as_py()) else ""
    raise BadData(
        f"Column {name!r} of {owner!r} holds {values[row].as_py()!r} in row {row}; allowed: a number in "
        "every row, with a decimal point, since the numbered columns are the features."
        f"{comma} Next: correct it, or name the column of images or texts with `image` or `text`."
    )
