"""Parts of a data set: seeded, stratified, with fingerprints of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from noiseproof.core.errors import BadData, invalid
from noiseproof.core.plurals import counted
from noiseproof.core.records import AnyDataset
from noiseproof.core.rng import stream
from noiseproof.data.examples import Rows, Selected
from noiseproof.data.fingerprints import derived_fingerprint


def stratified_split(
    labels: Int[np.ndarray, " n"],
    *,
    test_fraction: float,
    seed: int,
    class_names: Sequence[str] = (),
) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " l"]]:
    """Divide examples into two parts with the same share of each class, up to rounding.

    Args:
        labels: class ids, >= 0.
        test_fraction: share of the second part, in (0, 1).
        seed: the same seed and labels give the same parts.

    Returns:
        Rows of the two parts, ascending; every class has at least one row in each.

    Raises:
        BadData: a class has only one example; it is named.
    """
    if not 0 < test_fraction < 1:
        raise invalid("test_fraction", test_fraction, "a number between 0 and 1, both excluded")
    rng = stream(seed, "split")
    order = np.argsort(labels, kind="stable")
    _, starts = np.unique(labels[order], return_index=True)
    is_test = np.zeros(len(labels), bool)
    for rows in np.split(order, starts[1:]) if len(labels) else []:
        if len(rows) == 1:
            number = int(labels[rows[0]])
            named = class_names[number] if class_names else number
            raise BadData(
                f"Class {named!r} has one example only (row {rows[0]}), so it cannot be in both parts of a "
                "split; allowed: two or more. Next: add examples, leave the class out or give a test set."
            )
        num_test = int(np.clip(round(test_fraction * len(rows)), 1, len(rows) - 1))
        is_test[rng.choice(rows, num_test, replace=False)] = True
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)


def per_class_split(
    labels: Int[np.ndarray, " n"], *, per_class: int, seed: int, class_names: Sequence[str] = ()
) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " l"]]:
    """Draw the same number of examples of every class at random.

    Args:
        labels: class ids, >= 0.
        per_class: examples of each class in the first part, at least 1.
        seed: the same seed and labels give the same parts.

    Returns:
        Rows of the two parts, ascending; every class has at least one row in each.

    Raises:
        BadData: a class has `per_class` examples or fewer; it is named.
    """
    if per_class < 1:
        raise invalid("per_class", per_class, "an integer of at least 1")
    rng = stream(seed, "per class")
    is_first = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        if len(rows) <= per_class:
            raise BadData(
                f"Class {class_names[label] if class_names else int(label)!r} has "
                f"{counted(len(rows), 'example')}; allowed: more than {per_class}, so that some are left. "
                "Next: take fewer per class."
            )
        is_first[rng.choice(rows, per_class, replace=False)] = True
    return np.flatnonzero(is_first), np.flatnonzero(~is_first)


def stratified_share(labels: Int[np.ndarray, " n"], *, share: float, seed: int) -> Int[np.ndarray, " m"]:
    """Rows of a random part of the data with the same share of each class, up to rounding.

    Parts of one seed are nested: whatever is in 10 % is in 50 %, too.

    Args:
        labels: class ids, >= 0.
        share: of every class, in (0, 1]; at least one example of each is kept.
        seed: the same seed, labels and share give the same part.

    Returns:
        Ascending rows.
    """
    if not 0 < share <= 1:
        raise invalid("share", share, "a number above 0, at most 1")
    rng = stream(seed, "share")
    # One order for all examples, not one draw per class and share: that makes the parts nested.
    order = rng.permutation(len(labels))
    kept = []
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        kept.append(rows[: max(1, round(share * len(rows)))])
    return np.sort(np.concatenate(kept)) if kept else order


def stratified_sample(labels: Int[np.ndarray, " n"], *, size: int, seed: int) -> Int[np.ndarray, " m"]:
    """Rows of a random part of a given size with the share of each class in the whole, up to rounding.

    Every class keeps two examples, so that it can be split, where `size` is at least twice the number of
    classes; one where it is at least that number.

    Args:
        labels: class ids, >= 0.
        size: m, at least 1, at most n.
        seed: the same seed, labels and size give the same part.

    Returns:
        Ascending rows.
    """
    rng = stream(seed, "limit")
    _, compact, counts = np.unique(labels, return_inverse=True, return_counts=True)
    quotas = _quotas(counts, size, rng)
    order = rng.permutation(len(labels))
    by_class = order[np.argsort(compact[order], kind="stable")]
    place = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)  # within the class
    return np.sort(by_class[place < np.repeat(quotas, counts)])


def _quotas(counts: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """How many examples of each class to keep: the nearest whole numbers to their shares; ties by lot."""
    least = np.minimum(counts, min(2, size // len(counts)))
    exact = counts * (size / counts.sum())
    quotas = np.maximum(np.floor(exact).astype(np.int64), least)
    lot = rng.permutation(len(counts))
    while (left := size - int(quotas.sum())) != 0:
        step = 1 if left > 0 else -1
        may_change = lot[(quotas < counts)[lot] if step > 0 else (quotas > least)[lot]]
        gap = step * (exact - quotas)[may_change]
        quotas[may_change[np.argsort(-gap, kind="stable")[: abs(left)]]] += step
    return quotas


def subset(dataset: AnyDataset, index: Int[np.ndarray, " m"], *, name: str | None = None) -> AnyDataset:
    """The examples at `index`, in that order; nothing is read.

    Args:
        index: rows to keep, each at most once.
        name: of the part; the whole's if not given.
    """
    examples = dataset.examples
    return replace(
        dataset,
        name=dataset.name if name is None else name,
        examples=Rows(examples.matrix[index]) if isinstance(examples, Rows) else Selected(examples, index),
        ids=dataset.ids[index],
        given_labels=None if dataset.given_labels is None else dataset.given_labels[index],
        clean_labels=None if dataset.clean_labels is None else dataset.clean_labels[index],
        fingerprint=derived_fingerprint(dataset.fingerprint, "subset", dataset.ids[index]),
    )
