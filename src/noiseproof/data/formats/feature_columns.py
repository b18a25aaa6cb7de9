"""Features in the columns of a table -> a matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float

from noiseproof.core.arrays import is_number
from noiseproof.core.errors import BadData
from noiseproof.data.classes import is_text


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
