"""Examples that occur more than once: identical features, or, for encoders, nearly identical ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from jaxtyping import Bool, Float, Int
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from noiseproof.core.checks import check_matrix

# Largest distance of copies, for rows of unit length; benchmarks/RESULTS.md has the trials.
NEAR = 0.15
_LEAST_COLUMNS = 64  # for near copies: few columns are close by chance
_NUM_DIRECTIONS, _SAMPLE = 16, 500  # of the search: more directions make fewer candidates
_MOST_REPEATS = 3  # mean number of examples per distinct row, for copies
_MOST_NAMED = 5  # groups, and members of a group, in notes
_BLOCK_ROWS = 4096


@dataclass(frozen=True, eq=False)
class Copies:
    """Groups of examples that are copies of each other.

    Attributes:
        groups: (n,) number of the group of each example; an example without a copy is a group of its own.
        is_exact: (n,) whether the example has an identical copy.
    """

    groups: Int[np.ndarray, " n"]
    is_exact: Bool[np.ndarray, " n"]

    @property
    def has_copy(self) -> Bool[np.ndarray, " n"]:
        """Whether each example has a copy."""
        return np.bincount(self.groups)[self.groups] > 1

    def members(self) -> list[Int[np.ndarray, " m"]]:
        """Row numbers of each group of two or more."""
        rows = np.flatnonzero(self.has_copy)
        rows = rows[np.argsort(self.groups[rows], kind="stable")]
        ends = np.flatnonzero(np.diff(self.groups[rows])) + 1
        return [each for each in np.split(rows, ends) if len(each)]

    def notes(self, labels: np.ndarray, ids: np.ndarray) -> list[str]:
        """Sentences for the user: how many copies there are, and which have different labels.

        Args:
            labels: given labels, in the user's vocabulary.
            ids: of the examples.
        """
        if not self.has_copy.any():
            return []
        groups, different = self.members(), self.with_different_labels(labels)
        lines = [
            f"{int(self.has_copy.sum())} examples in {len(groups)} groups are copies of each other "
            f"({int(self.is_exact.sum())} identical, the others near duplicates); each was judged without "
            "its copies."
        ]
        for rows in different[:_MOST_NAMED]:
            shown = ", ".join(f"{ids[row]!s} ({labels[row]!s})" for row in rows[:_MOST_NAMED])
            kinds = len(set(labels[rows].tolist()))
            lines.append(
                f"This example has {kinds} labels: {shown}{', ...' if len(rows) > _MOST_NAMED else ''}."
            )
        if len(different) > _MOST_NAMED:
            lines.append(f"{len(different)} groups of copies have different labels; the first are named.")
        return lines

    def with_different_labels(self, labels: np.ndarray) -> list[Int[np.ndarray, " m"]]:
        """Groups whose members do not all have the same label."""
        return [rows for rows in self.members() if len(set(labels[rows].tolist())) > 1]


def find_copies(features: Any, *, near: float = NEAR) -> Copies:
    """Find examples with identical features, and near duplicates.

    Two examples are near duplicates if their rows, scaled to unit length, are at most `near` apart, in 64 or
    more columns. Groups are chains: a copy of a copy belongs to the group.

    Features of few values, such as categories, repeat without being copies: if rows occur more than three
    times on average and no column distinguishes half of the distinct ones, there are no copies.

    Args:
        features: (n, d) array-like, sliced by rows.
        near: largest distance; 0 for identical features only.
    """
    check_matrix(features, "features")
    first = _first_equal(features)
    distinct = np.flatnonzero(first == np.arange(len(first)))
    if _are_categories(features, first, distinct):
        return Copies(np.arange(len(first)), np.zeros(len(first), bool))
    is_exact = np.bincount(first, minlength=len(first))[first] > 1
    place = np.searchsorted(distinct, first)
    if near > 0 and features.shape[1] >= _LEAST_COLUMNS and len(distinct) > 1:
        place = _chains(near_pairs(features, distinct, near), len(distinct))[place]
    return Copies(np.unique(place, return_inverse=True)[1], is_exact)


def shared_copies(features: Any, others: Any, *, near: float = NEAR) -> Bool[np.ndarray, " m"]:
    """Whether each example of another set has a copy in the first: evaluation on it is too good.

    Args:
        features: (n, d), for example of the training set.
        others: (m, d), for example of a test set.
        near: see `find_copies`.
    """
    n = len(features)
    both = np.concatenate([np.asarray(features), np.asarray(others)])
    groups = find_copies(both, near=near).groups
    return np.isin(groups[n:], groups[:n])


def _first_equal(features: Any) -> Int[np.ndarray, " n"]:
    """The first row that is equal to each row."""
    starts = range(0, len(features), _BLOCK_ROWS)
    hashes = np.concatenate([_hashes(np.asarray(features[i : i + _BLOCK_ROWS])) for i in starts])
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    found = first[inverse]
    repeats = np.flatnonzero(found != np.arange(len(found)))
    for start in range(0, len(repeats), _BLOCK_ROWS):
        rows = repeats[start : start + _BLOCK_ROWS]
        is_equal = (np.asarray(features[rows]) == np.asarray(features[found[rows]])).all(axis=1)
        found[rows[~is_equal]] = rows[~is_equal]  # equal hashes of different rows
    return found


def _hashes(block: np.ndarray) -> np.ndarray:
    """A random linear hash of the bits of each row, modulo 2^64; 0 and -0 have the same."""
    bits = np.ascontiguousarray(block.astype(np.float64) + 0.0).view(np.uint64)
    factors = np.random.default_rng(0).integers(2**63, size=bits.shape[1], dtype=np.uint64) | np.uint64(1)
    return ((bits ^ (bits >> np.uint64(29))) * factors).sum(axis=1, dtype=np.uint64)


def _are_categories(features: Any, first: np.ndarray, distinct: np.ndarray) -> bool:
    """Whether equal rows come from columns of few values."""
    if len(first) <= _MOST_REPEATS * len(distinct):
        return False
    if features.shape[1] == 1:
        return True
    rows = np.asarray(features[distinct])
    most = max(len(np.unique(rows[:, j])) for j in range(rows.shape[1]))
    return 2 * most < len(distinct)


def near_pairs(features: Any, rows: Int[np.ndarray, " m"], near: float) -> Int[np.ndarray, "p 2"]:
    """Pairs of these rows that are at most `near` apart at unit length, as positions in `rows`.

    Candidates are close in the projection on a few orthogonal directions, which never makes a distance
    larger: no pair is missed. If half of the rows have such a neighbour, the encoder places whole classes
    that close, and there are no pairs.
    """
    sample = _unit(features, rows[:: -(-len(rows) // _SAMPLE)])
    directions = np.linalg.svd(sample - sample.mean(axis=0), full_matrices=False)[2][:_NUM_DIRECTIONS].T
    starts = range(0, len(rows), _BLOCK_ROWS)
    projected = np.concatenate([_unit(features, rows[i : i + _BLOCK_ROWS]) @ directions for i in starts])
    tree = KDTree(projected)
    some = np.arange(0, len(rows), -(-len(rows) // _SAMPLE))
    closest = tree.query(projected[some], k=2)[1]
    neighbour = np.where(closest[:, 0] == some, closest[:, 1], closest[:, 0])
    if 2 * _distances_within(features, rows[some], rows[neighbour], near).sum() > len(some):
        return np.empty((0, 2), np.int64)
    pairs = tree.query_pairs(near * (1 + 1e-6), output_type="ndarray")
    return pairs[_distances_within(features, rows[pairs[:, 0]], rows[pairs[:, 1]], near)]


def _distances_within(
    features: Any, one: Int[np.ndarray, " p"], other: Int[np.ndarray, " p"], near: float
) -> Bool[np.ndarray, " p"]:
    """Whether each two rows of unit length are at most `near` apart."""
    is_near = np.zeros(len(one), bool)
    for start in range(0, len(one), _BLOCK_ROWS):
        part = slice(start, start + _BLOCK_ROWS)
        apart = _unit(features, one[part]) - _unit(features, other[part])
        is_near[part] = np.linalg.norm(apart, axis=1) <= near
    return is_near


def _chains(pairs: np.ndarray, count: int) -> Int[np.ndarray, " m"]:
    """Number of the connected component of each row."""
    graph = scipy.sparse.coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def _unit(features: Any, rows: np.ndarray) -> Float[np.ndarray, "m d"]:
    block = np.asarray(features[rows], dtype=np.float32)
    length = np.linalg.norm(block, axis=1, keepdims=True)
    return block / np.where(length > 0, length, 1)
