"""Expected counts of true and given classes on disk: the confusions that count, not all k x k of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

# Expected examples from which a confusion is listed. Smaller ones are kept as their sum for each true class:
# with 1,000 classes all of them would be a million lines.
LEAST_EXPECTED = 0.01
_BLOCK_NUMBERS = 2**22


def list_confusions(joint: Float[np.ndarray, "k k"], names: Sequence[str]) -> list[dict[str, Any]]:
    """Pairs of different classes with their expected number of examples, the most frequent first.

    Args:
        joint: expected counts by true class (row) and given class (column).
        names: of the k classes.
    """
    rows, columns = _listed(joint)
    counts = joint[rows, columns]
    order = np.argsort(-counts, kind="stable")
    return [
        {"true": names[i], "given": names[j], "expected": float(f"{count:.6g}")}
        for i, j, count in zip(rows[order], columns[order], counts[order], strict=True)
    ]


def joint_from(
    confusions: Sequence[dict[str, Any]],
    true_counts: Float[np.ndarray, " k"],
    right_counts: Float[np.ndarray, " k"],
    names: Sequence[str],
) -> Float[np.ndarray, "k k"]:
    """The counts of `list_confusions`; what is not listed is spread evenly over the rest of the row.

    Args:
        confusions: pairs of classes.
        true_counts: expected examples of each true class, the sums of the rows.
        right_counts: of these, the ones with the right label, the diagonal.
        names: of the k classes.
    """
    number = {name: i for i, name in enumerate(names)}
    rows = np.array([number[pair["true"]] for pair in confusions], np.int64)
    columns = np.array([number[pair["given"]] for pair in confusions], np.int64)
    counts = np.array([pair["expected"] for pair in confusions], np.float64)
    k = len(names)
    missing = true_counts - right_counts - np.bincount(rows, weights=counts, minlength=k)
    num_missing = k - 1 - np.bincount(rows, minlength=k)
    joint = np.empty((k, k))
    joint[:] = (np.maximum(missing, 0) / np.maximum(num_missing, 1))[:, None]
    joint[rows, columns] = counts
    np.fill_diagonal(joint, right_counts)
    return joint


def _listed(joint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = []
    num_rows = max(1, _BLOCK_NUMBERS // len(joint))
    for start in range(0, len(joint), num_rows):
        rows, columns = np.nonzero(joint[start : start + num_rows] >= LEAST_EXPECTED)
        is_wrong = rows + start != columns
        found.append((rows[is_wrong] + start, columns[is_wrong]))
    return tuple(np.concatenate(each) for each in zip(*found, strict=True))  # type: ignore[return-value]
