"""Labels as people write them -> class ids and names; and data sets brought onto one list of classes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from noiseproof.core.class_names import in_order, plain_name
from noiseproof.core.errors import BadData
from noiseproof.core.plurals import some
from noiseproof.core.records import LabelledDataset
from noiseproof.data.request import MissingLabel, Task

Key = int | str
_MOST_LETTERS = 100  # of the name of a type
MOST_FRACTIONAL_CLASSES = 20  # texts such as "1.5" may be names of classes, a few of them
_ABOUT_SCORES = (
    "Scores are for 'noiseproof run', which trains heads for regression; suspect labels, noise and "
    "fine-tuning need classes. Next: name another column with `label`, or put the scores into classes."
)


def encode_labels(
    columns: Mapping[str, pa.ChunkedArray],
    *,
    names: Mapping[Key, str] | None = None,
    owner: str,
    missing_label: MissingLabel = "raise",
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Columns of labels -> class ids over one list of classes: those that occur in any of them.

    Numbers (also as text) are sorted as numbers, everything else as text. Booleans are True and False.

    Args:
        columns: n labels each; integers, texts or booleans.
        names: what integer labels are called, where that is known; used only if it covers all of them.
        missing_label: with "skip" the class id of a missing label is -1.

    Returns:
        Class ids (n,) per column, and the class names.

    Raises:
        BadData: a missing label (row named), or labels that are no classes.
    """
    codes: dict[str, tuple[np.ndarray, list[Key]]] = {}
    for column, values in columns.items():
        codes[column] = _factorise(values, column, owner, missing_label)
    keys: set[Key] = set()
    for _, occurring in codes.values():
        keys.update(occurring)
    if len({type(key) for key in keys}) > 1:
        raise BadData(
            f"The label columns {', '.join(codes)} of {owner!r} mix numbers and texts; allowed: one kind. "
            "Next: name the column of the same kind with `label` and `clean_label`."
        )
    are_texts = any(isinstance(key, str) for key in keys)
    ordered: list[Key] = list(in_order(map(str, keys))) if are_texts else sorted(keys)
    index = {key: number for number, key in enumerate(ordered)}
    encoded = {
        # A missing label is -1, which takes the last entry.
        column: np.array([*(index[key] for key in occurring), -1], np.int64)[rows]
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

    Blanks around a name and the form of its letters (NFC, NFD) do not matter, unless two classes differ in
    them.

    Args:
        dataset: usually an evaluation set, opened on its own.
        class_names: of the training set, in its order.

    Raises:
        BadData: labels of classes the training set does not have; they are listed.
    """
    target = {name: number for number, name in enumerate(class_names)}
    plain = {plain_name(name): number for name, number in target.items()}
    if len(plain) == len(target):
        target = {
            name: plain[plain_name(name)] for name in dataset.class_names if plain_name(name) in plain
        } | target
    present = {
        dataset.class_names[c]
        for labels in (dataset.given_labels, dataset.best_labels)
        for c in np.unique(labels)
    }
    unknown = [name for name in dataset.class_names if name in present and name not in target]
    if unknown:
        raise BadData(
            f"{dataset.name!r} has classes that the training set does not have: {some(unknown)}. "
            f"Allowed: {some(class_names)}. Next: rename them, or leave their examples out."
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
        are_numbers = _finite_numbers(dataset.class_names) is not None
        scores = "; predict the numbers instead: --task regression" if are_numbers else ""
        raise BadData(
            f"{dataset.name!r} has classes with fewer than {min_per_class} examples: {some(few)}. "
            f"Allowed: {min_per_class} or more each. Next: add examples, raise `limit` or leave them "
            f"out{scores}."
        )


def _check_given_somewhere(dataset: LabelledDataset, counts: np.ndarray) -> None:
    """Raise for a class that only true labels have: evaluation expects it, and no head can learn it."""
    if dataset.clean_labels is None:
        return
    only_true = [dataset.class_names[c] for c in np.unique(dataset.clean_labels) if counts[c] == 0]
    if only_true:
        raise BadData(
            f"{dataset.name!r} has classes that occur only among its true labels, never among those given: "
            f"{some(only_true)}. Allowed: classes that both have. Next: leave their examples out, or check "
            "that `clean_label` names the right column."
        )


def _factorise(
    values: pa.ChunkedArray, column: str, owner: str, missing_label: MissingLabel
) -> tuple[np.ndarray, list[Key]]:
    """Labels -> (code per row, what each code stands for); -1 for a missing label."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    values = _without_missing(values, column, owner, missing_label)
    if pa.types.is_floating(values.type):
        values = _whole_numbers(values)
    if pa.types.is_boolean(values.type):
        values = pc.if_else(values, "True", "False")
    if not (pa.types.is_integer(values.type) or is_text(values.type)):
        is_list = pa.types.is_list(values.type) or pa.types.is_large_list(values.type)
        several = " Data with several labels per example (multi-label) is not supported." if is_list else ""
        raise BadData(
            f"Column {column!r} of {owner!r} holds {type_name(values.type)}; allowed as labels: integers or "
            f"texts, one per example.{several} Next: name another column with `label`."
        )
    encoded = values.dictionary_encode().combine_chunks()
    codes, keys = encoded.indices.fill_null(-1).to_numpy(), encoded.dictionary.to_pylist()
    return _merged(codes, _as_booleans(_as_numbers(keys)))


def _merged(codes: np.ndarray, keys: list[Key]) -> tuple[np.ndarray, list[Key]]:
    """Codes of which no two stand for the same key."""
    place = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([*(place[key] for key in keys), -1])[codes], list(place)


def type_name(kind: pa.DataType) -> str:
    """The type of a column, for messages; cut, since types can be nested without an end."""
    return text if len(text := str(kind)) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}..."


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds texts."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _without_missing(
    values: pa.ChunkedArray, column: str, owner: str, missing_label: MissingLabel
) -> pa.ChunkedArray:
    """The labels with null for those that are missing: null, NaN, or a text of blanks.

    Raises:
        BadData: labels are missing and `missing_label` is "raise", or all are missing.
    """
    missing = pc.is_null(values, nan_is_null=True)
    if is_text(values.type):
        missing = pc.or_(missing, pc.equal(pc.utf8_trim_whitespace(pc.fill_null(values, "")), ""))
    rows = np.flatnonzero(missing.to_numpy())
    if len(rows) == 0:
        return values
    if missing_label == "raise" or len(rows) == len(values):
        raise BadData(
            f"The label is missing in row {rows[0]} of {owner!r} (column {column!r}; {len(rows)} such rows "
            f"of {len(values)}, counted from 0). Allowed: a label in every row. Next: fill them in, or leave "
            "these rows out with missing_label='skip' (--missing-label skip)."
        )
    return pc.if_else(missing, pa.scalar(None, values.type), values)


def _whole_numbers(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers as integers; where some have fractions, as texts with their digits, as in a CSV file."""
    try:
        return values.cast(pa.int64())
    except pa.ArrowInvalid:
        numbers = values.to_numpy()  # a missing one is NaN
        return pa.chunked_array([pa.array([None if np.isnan(v) else str(v) for v in numbers], pa.string())])


def are_scores(dataset: LabelledDataset, task: Task) -> bool:
    """Whether the labels of an opened data set are scores: by the user's word, else numbers with fractions.

    Raises:
        BadData: many different numbers with fractions where classes are needed; or labels that are no numbers
            where scores are needed.
    """
    owner, names = dataset.name, dataset.class_names
    strange = [name for name in names if _finite_numbers([name]) is None]
    if task == "regression" and strange:
        raise BadData(
            f"{owner!r} has the label {strange[0]!r}; allowed for regression: numbers. Next: name the column "
            "of the scores with `label`, or take the labels as classes: --task classification."
        )
    numbers = _finite_numbers([name for name in names if name not in strange]) or []
    fraction = next((number for number in numbers if not number.is_integer()), None)
    if task == "auto" and fraction is not None and 0 < len(strange) < len(numbers):
        raise BadData(
            f"{owner!r} has numbers with fractions as labels, such as '{fraction:g}', and also "
            f"{strange[0]!r}; allowed: numbers alone, or classes. Next: correct these rows or leave them "
            "out, or take the labels as classes: --task classification."
        )
    has_fractions = fraction is not None and not strange
    if task == "classification" and has_fractions and len(names) > MOST_FRACTIONAL_CLASSES:
        raise BadData(
            f"{owner!r} has {len(names)} different numbers with fractions as labels, such as {names[0]!r}; "
            f"allowed: classes. {_ABOUT_SCORES}"
        )
    return task == "regression" or (task == "auto" and has_fractions)


def check_scores(dataset: LabelledDataset) -> None:
    """Raise `BadData` unless at least two scores differ: others cannot be learned, or correlated with."""
    if len(np.unique(dataset.scores)) < 2:
        raise BadData(
            f"{dataset.name!r} has the score {dataset.scores[0]:g} only; allowed: two or more that differ. "
            "Next: check the label column, or add examples."
        )


def _finite_numbers(names: Sequence[str]) -> list[float] | None:
    """The numbers that texts spell; `None` if one of them spells none."""
    try:
        numbers = [float(name) for name in names]
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None


def _as_numbers(keys: list[Any]) -> list[Any]:
    """Texts that are all plain integers -> integers, as in a CSV file; "01" is a name, not a number.

    A column of integers in which a label is missing is written as 1.0, 2.0, ... by some programs.
    """
    if any(isinstance(key, bool) for key in keys):
        return keys
    texts = [re.sub(r"\.0$", "", str(key)) for key in keys]
    try:
        numbers = [int(text) for text in texts]
    except ValueError:
        return keys
    return numbers if all(str(n) == text for n, text in zip(numbers, texts, strict=True)) else keys


def _as_booleans(keys: list[Any]) -> list[Any]:
    """Texts that are all true or false, however they are written -> True and False."""
    words = [str(key).lower() for key in keys]
    return [word.capitalize() for word in words] if keys and set(words) <= {"true", "false"} else keys
