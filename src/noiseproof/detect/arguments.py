"""Arguments of the detectors as people pass them -> arrays in one order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from noiseproof.core.arrays import as_labels, index_of
from noiseproof.core.class_names import columns_of_classes
from noiseproof.core.errors import BadData, invalid

REPEATS = "The index has repeats or gaps, so `example_id` is the row number."


def as_class_ids(value: Any, class_names: Sequence[str]) -> np.ndarray:
    """Labels; with class names whole numbers of any type and booleans are class ids."""
    labels = as_labels(value)
    if not class_names:
        return labels
    if labels.dtype.kind == "f" and bool((labels == np.floor(labels)).all()):
        return labels.astype(np.int64)
    return labels.astype(np.int64) if labels.dtype.kind == "b" else labels


def in_class_order(
    matrix: Any, passed: Any, name: str, classes: Sequence[Any], class_names: Sequence[str]
) -> tuple[Any, bool]:
    """Probabilities with a column for each class in order, and whether the columns have names.

    Columns of a data frame are matched by name; a matrix, or columns that are only numbered 0, 1, ..., are in
    the order of the classes.

    Args:
        matrix: (n, k).
        passed: the same as the user passed it.
        name: of the argument.
        classes: k labels.
        class_names: their names, if labels are class ids.

    Raises:
        BadData: names of columns that are not those of the classes.
    """
    columns = getattr(passed, "columns", None)
    if columns is None:
        return matrix, False
    places = columns_of_classes(list(columns), list(class_names) or list(classes), name)
    return (matrix, False) if places is None else (matrix[:, places], True)


def ids_of(ids: Any, arguments: Mapping[str, Any], n: int) -> tuple[np.ndarray, list[str]]:
    """Ids of the n examples: the user's, else the index of a data frame or series, else row numbers.

    Args:
        ids: of the user.
        arguments: name -> value, in the order in which their index counts.
        n: number of examples.

    Returns:
        The ids, and notes for the user.

    Raises:
        BadData: two arguments have different indices, so their rows may be of different examples.
    """
    indices = {name: index for name, value in arguments.items() if (index := index_of(value)) is not None}
    named = {name: index for name, index in indices.items() if not _is_numbered(index)}
    for name, index in indices.items():
        for other, reference in named.items():
            if not _may_be_of_same_rows(index, reference):
                raise BadData(
                    f"`{name}` and `{other}` have rows of different examples, or in another order: their "
                    "indices differ. Allowed: the same index. Next: bring them into one order, or pass "
                    "arrays (`.to_numpy()`) if the rows do belong together."
                )
    if ids is not None:
        return as_ids(ids), []
    index = next(iter(named.values()), np.arange(n))
    return (index, []) if _is_unique(index) else (np.arange(n), [REPEATS])


def _may_be_of_same_rows(index: np.ndarray, reference: np.ndarray) -> bool:
    """Whether two indices are equal, or one only counts the rows and is not the other one in order.

    `pd.DataFrame(array)` only counts the rows, whatever index the array came from.
    """
    if len(index) == len(reference) and np.all(index == reference):
        return True
    is_reference_shuffled = reference.dtype.kind in "iu" and _is_numbered(np.sort(reference))
    return _is_numbered(index) and not is_reference_shuffled


def _is_numbered(index: np.ndarray) -> bool:
    """Whether an index only counts the rows."""
    return index.dtype.kind in "iu" and np.array_equal(index, np.arange(len(index)))


def as_ids(value: Any) -> np.ndarray:
    """Ids as an array of one axis."""
    ids = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    if ids.ndim != 1:
        raise invalid("ids", ids.shape, "an array of one axis, (n,)")
    return ids


def _is_unique(index: np.ndarray) -> bool:
    import pandas as pd

    return not pd.isna(index).any() and len(set(index.tolist())) == len(index)
