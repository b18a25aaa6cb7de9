"""Arrays from what people have: tensors, data frames, sparse matrices, lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from noiseproof.core.checks import check_labels_present
from noiseproof.core.errors import BadData, invalid

_MOST_DENSE_BYTES = 4 << 30
_MULTI_LABEL = "Data with several labels per example (multi-label) is not supported."


def as_matrix(value: Any, name: str) -> Any:
    """The rows of a matrix as a NumPy array; arrays that are memory-mapped or on disk stay there.

    Args:
        value: an array, a tensor (also on a GPU, sparse or with a gradient), a data frame, a SciPy sparse
            matrix, or a sequence of rows, such as a column of lists.

    Raises:
        InvalidArgument: no matrix of real numbers; a masked or too large sparse one.
        BadData: rows of several lengths, or texts among numbers; row or column is named.
    """
    if isinstance(value, np.ma.MaskedArray):
        value = _unmasked(value, name)
    if hasattr(value, "toarray"):  # SciPy
        return _dense(value, name)
    if hasattr(value, "detach"):
        return _from_tensor(value)
    # Whatever has the type of an array and is no pandas object: a memory map, or rows on disk.
    is_array = isinstance(getattr(value, "dtype", None), np.dtype) and not hasattr(value, "iloc")
    array = value if is_array else _converted(value, name)
    if array.dtype != object:
        return native(array)
    return _from_objects(np.asarray(array), name, columns=list(getattr(value, "columns", ())))


def as_labels(value: Any) -> np.ndarray:
    """Labels as a NumPy array of one axis, one plain label for each example.

    Args:
        value: an array, a tensor, a series or a list; the argument `given_labels`.

    Raises:
        InvalidArgument: several labels for each example, or another shape.
        BadData: a label is missing; its row is named.
    """
    name = "given_labels"
    labels = as_label_array(value, name)
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise invalid(
            name, labels.shape, "an array of one axis, (n,)",
            f"{_MULTI_LABEL} Next: if each row has a single 1, pass {name}.argmax(axis=1).",
        )  # fmt: skip
    if labels.ndim != 1:
        raise invalid(name, labels.shape, "an array of one axis, (n,)", f"Next: pass {name}.ravel().")
    return native(_plain(labels) if labels.dtype == object else labels)


def as_label_array(value: Any, name: str) -> np.ndarray:
    """Labels as a NumPy array of any shape, none of them missing and none a list.

    Raises:
        InvalidArgument: lists of labels, or masked labels.
        BadData: a label is missing; its row is named.
    """
    if isinstance(value, np.ma.MaskedArray):
        value = _unmasked(value, name)
    labels = _from_tensor(value) if hasattr(value, "detach") else rows_of_any_length(value)
    if labels.dtype == object and labels.ndim == 1:
        _check_single(labels, name)
    check_labels_present(labels, name)
    return labels


def index_of(value: Any) -> np.ndarray | None:
    """The index of a data frame or series; `None` for other values."""
    index = getattr(value, "index", None)
    return None if index is None or callable(index) else np.asarray(index)  # lists have such a method


def native(array: Any) -> Any:
    """The array in the order of bytes of this machine, which PyTorch and Arrow need, and at most float64."""
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        return np.asarray(array, np.float64)
    return array if array.dtype.isnative else np.asarray(array).astype(array.dtype.newbyteorder("="))


def _unmasked(array: np.ma.MaskedArray, name: str) -> np.ndarray:
    if np.ma.is_masked(array):
        row = int(np.argwhere(np.ma.getmaskarray(array))[0][0])
        raise invalid(
            name, f"a masked array with a masked value in row {row}", "an array without masked values",
            "Next: leave such rows out, or fill them in.",
        )  # fmt: skip
    return np.asarray(array)


def _dense(value: Any, name: str) -> np.ndarray:
    size = int(np.prod(value.shape)) * value.dtype.itemsize
    if size > _MOST_DENSE_BYTES:
        raise invalid(
            name, f"a sparse matrix of shape {value.shape}",
            f"one that fits into {_MOST_DENSE_BYTES >> 30} GiB without its zeros left out",
            "Next: reduce its columns, such as with sklearn.decomposition.TruncatedSVD.",
        )  # fmt: skip
    return np.asarray(value.toarray())


def _from_tensor(value: Any) -> np.ndarray:
    tensor = value.detach().cpu()
    if getattr(tensor, "is_sparse", False) or str(getattr(tensor, "layout", "")).startswith("torch.sparse"):
        tensor = tensor.to_dense()
    if str(tensor.dtype) == "torch.bfloat16":
        tensor = tensor.float()  # NumPy has no such type
    return np.asarray(tensor.numpy())


def _converted(value: Any, name: str) -> np.ndarray:
    if isinstance(value, (list, tuple)) and any(hasattr(row, "detach") for row in value):
        value = [_from_tensor(row) if hasattr(row, "detach") else row for row in value]
    try:
        return rows_of_any_length(value)
    except TypeError as error:
        raise invalid(
            name, type(value).__name__, "an array of numbers, (n, d)",
            f"NumPy cannot read it ({error}). Next: convert it to a NumPy array.",
        ) from error  # fmt: skip


def _from_objects(array: np.ndarray, name: str, *, columns: Sequence[Any] = ()) -> np.ndarray:
    """Numbers in an array of objects: rows that are lists, or columns of several types of numbers."""
    import pandas as pd

    if array.ndim == 1:
        return _stacked(array, name)
    array = np.where(pd.isna(array), np.nan, array)
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError):
        pass
    for place in range(array.shape[1]):
        column = columns[place] if len(columns) else place
        for row, cell in enumerate(array[:, place].tolist()):
            if not is_number(cell):
                raise BadData(
                    f"`{name}` has {cell!r:.40} in row {row} of column {column!r}; allowed: numbers. "
                    "Next: leave that column or that row out."
                )
    raise BadData(f"`{name}` holds {array.dtype}; allowed: numbers.")


def _stacked(rows: np.ndarray, name: str) -> np.ndarray:
    if not len(rows) or not all(hasattr(row, "__len__") and not isinstance(row, str) for row in rows):
        return rows
    lengths = np.array([len(row) for row in rows])
    odd = np.flatnonzero(lengths != lengths[0])
    if len(odd):
        raise BadData(
            f"`{name}` has {lengths[odd[0]]} numbers in row {odd[0]} and {lengths[0]} in row 0; allowed: "
            "rows of one length. Next: make all features with one encoder."
        )
    stacked = np.stack([as_matrix(row, name) for row in rows])
    return stacked if stacked.dtype != object else stacked.astype(np.float64)


def rows_of_any_length(value: Any) -> np.ndarray:
    """An array; of objects where the rows are lists of several lengths."""
    try:
        return np.asarray(value)
    except ValueError:
        rows = np.empty(len(value), object)
        rows[:] = list(value)
        return rows


def _check_single(labels: np.ndarray, name: str) -> None:
    kinds = (list, tuple, set, frozenset, dict, np.ndarray)
    row = next((row for row, label in enumerate(labels) if isinstance(label, kinds)), None)
    if row is not None:
        raise invalid(
            name, f"{labels[row]!r:.60} in row {row}", "one label for each example, a text or a number",
            _MULTI_LABEL,
        )  # fmt: skip


def _plain(labels: np.ndarray) -> np.ndarray:
    """Objects that are all booleans or all whole numbers, such as of pandas' nullable types, as such."""
    kinds = {type(label) for label in labels.tolist()}
    if kinds == {bool}:
        return labels.astype(bool)
    return labels.astype(np.int64) if kinds == {int} else labels


def is_number(cell: Any) -> bool:
    """Whether a value, or what a text spells, is a number."""
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True
