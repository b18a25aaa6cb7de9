"""Labels as people write them -> class ids and names; and data sets brought onto one list of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from noiseproof.core.errors import BadData
from noiseproof.core.records import LabelledDataset

Key = int | str


def encode_labels(
    columns: Mapping[str, pa.ChunkedArray], *, names: Mapping[Key, str] | None = None, owner: str
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Columns of labels -> class ids over one list of classes: those that occur in any of them.

    Integers (also as text) are sorted as numbers, everything else as text.

    Args:
        columns: n labels each; integers, texts or booleans.
        names: what integer labels are called, where that is known; used only if it covers all of them.
        owner: name of the data set, for messages.

    Returns:
        Class ids (n,) per column, and the class names.

    Raises:
        BadData: a missing label (row named), or labels that are no classes.
    """
    codes: dict[str, tuple[np.ndarray, list[Key]]] = {}
    for column, values in columns.items():
        codes[column] = _factorise(values, column, owner)
    keys: set[Key] = set()
    for _, occurring in codes.values():
        keys.update(occurring)
    if len({type(key) for key in keys}) > 1:
        raise BadData(
            f"The label columns {', '.join(codes)} of {owner!r} mix numbers and texts; allowed: one kind. "
            "Next: name the column of the same kind with `label` and `clean_label`."
        )
    ordered = sorted(keys)  # of one type, checked above
    index = {key: number for number, key in enumerate(ordered)}
    encoded = {
        column: np.array([index[key] for key in occurring], np.int64)[rows]
        for column, (rows, occurring) in codes.items()
    }
    is_named = names is not None and keys <= names.keys()
    return encoded, tuple(names[key] if names is not None and is_named else str(key) for key in ordered)


def one_to_one(numbers: pa.ChunkedArray, texts: pa.ChunkedArray) -> dict[Key, str] | None:
    """The map from number to text that two columns of a table spell out; `None` unless it is one to one."""
    pairs = pa.table({"number": numbers, "text": texts}).group_by(["number", "text"]).aggregate([])
    keys, called = _as_numbers(pairs["number"].to_pylist()), pairs["text"].to_pylist()
    if not all(isinstance(key, int) for key in keys) or None in called:
        return None
    is_injective = len(set(keys)) == len(set(called)) == len(keys)
    return dict(zip(keys, map(str, called), strict=True)) if is_injective else None


def align_labels(dataset: LabelledDataset, class_names: Sequence[str]) -> LabelledDataset:
    """Translate the class ids of a data set to those of the training set.

    Args:
        dataset: usually an evaluation set, opened on its own.
        class_names: of the training set, in its order.

    Raises:
        BadData: labels of classes the training set does not have; they are listed.
    """
    target = {name: number for number, name in enumerate(class_names)}
    present = {
        dataset.class_names[c]
        for labels in (dataset.given_labels, dataset.best_labels)
        for c in np.unique(labels)
    }
    unknown = [name for name in dataset.class_names if name in present and name not in target]
    if unknown:
        raise BadData(
            f"{dataset.name!r} has classes that the training set does not have: {_some(unknown)}. "
            f"Allowed: {_some(class_names)}. Next: rename them, or leave their examples out."
        )

    # A class without examples may be unknown to the training set; its entry is never looked up.
    mapping = np.array([target.get(name, 0) for name in dataset.class_names], np.int64)

    return replace(
        dataset,
        class_names=tuple(class_names),
        given_labels=mapping[dataset.given_labels],
        clean_labels=None if dataset.clean_labels is None else mapping[dataset.clean_labels],
    )


def check_trainable(dataset: LabelledDataset, *, min_per_class: int = 2) -> None:
    """Raise unless a head can be trained on the labels.

    Args:
        dataset: the training set.
        min_per_class: examples every class must have, at least 1.

    Raises:
        BadData: one class only, classes with too few examples, or that only true labels have;
            they are named.
    """
    counts = np.bincount(dataset.given_labels, minlength=len(dataset.class_names))
    if (counts > 0).sum() < 2:
        only = dataset.class_names[int(counts.argmax())]
        raise BadData(
            f"{dataset.name!r} has one class only ({only!r}); allowed for training: two or more. "
            "Next: add examples of another class."
        )
    _check_given_somewhere(dataset, counts)
    few = [f"{dataset.class_names[c]!r} ({counts[c]})" for c in np.flatnonzero(counts < min_per_class)]
    if few:
        raise BadData(
            f"{dataset.name!r} has classes with fewer than {min_per_class} examples: {_some(few)}. "
            f"Allowed: {min_per_class} or more each. Next: add examples, raise `limit` or leave them out."
        )


def _check_given_somewhere(dataset: LabelledDataset, counts: np.ndarray) -> None:
    """Raise for a class that only true labels have: evaluation expects it, and no head can learn it."""
    if dataset.clean_labels is None:
        return
    only_true = [dataset.class_names[c] for c in np.unique(dataset.clean_labels) if counts[c] == 0]
    if only_true:
        raise BadData(
            f"{dataset.name!r} has classes that occur only among its true labels, never among those given: "
            f"{_some(only_true)}. Allowed: classes that both have. Next: leave their examples out, or check "
            "that `clean_label` names the right column."
        )


def _factorise(values: pa.ChunkedArray, column: str, owner: str) -> tuple[np.ndarray, list[Key]]:
    """Labels -> (code per row, what each code stands for)."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    _check_present(values, column, owner)
    if pa.types.is_floating(values.type):
        values = _whole_numbers(values, column, owner)
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.string())
    if not (pa.types.is_integer(values.type) or is_text(values.type)):
        raise BadData(
            f"Column {column!r} of {owner!r} holds {values.type}; allowed as labels: integers or texts, one "
            "per example. Next: name another column with `label`."
        )
    encoded = values.dictionary_encode().combine_chunks()
    return encoded.indices.to_numpy(), _as_numbers(encoded.dictionary.to_pylist())


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds texts."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _check_present(values: pa.ChunkedArray, column: str, owner: str) -> None:
    missing = pc.is_null(values, nan_is_null=True)
    if is_text(values.type):
        missing = pc.or_(missing, pc.equal(pc.fill_null(values, ""), ""))
    rows = np.flatnonzero(missing.to_numpy())
    if len(rows):
        raise BadData(
            f"The label is missing in row {rows[0]} of {owner!r} (column {column!r}; {len(rows)} such rows, "
            "counted from 0). Allowed: a label in every row. Next: fill them in or drop these rows."
        )


def _whole_numbers(values: pa.ChunkedArray, column: str, owner: str) -> pa.ChunkedArray:
    try:
        return values.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise BadData(
            f"Column {column!r} of {owner!r} holds fractions, such as {values[0].as_py()!r}; "
            "allowed as labels: integers or texts. Next: name another column with `label`."
        ) from error


def _as_numbers(keys: list[Any]) -> list[Any]:
    """Texts that are all plain integers -> integers, as in a CSV file; "01" is a name, not a number."""
    try:
        numbers = [int(key) for key in keys]
    except (ValueError, TypeError):
        return keys
    return numbers if all(str(n) == str(key) for n, key in zip(numbers, keys, strict=True)) else keys


def _some(names: Sequence[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
