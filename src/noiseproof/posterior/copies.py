"""Examples that occur more than once: identical features, or, for encoders, nearly identical ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from jaxtyping import Bool, Float, Int
from scipy.sparse.csgraph import connected_components

from noiseproof.core.checks import check_matrix
from noiseproof.core.plurals import counted
from noiseproof.core.row_blocks import row_blocks
from noiseproof.core.unit_length import unit_length
from noiseproof.posterior.ridge_rows import row_type

# Largest distance of copies, for rows of unit length; dev/LOG.md has the trials.
NEAR = 0.15
_LEAST_COLUMNS = 64  # for near copies: few columns are close by chance
_NUM_DIRECTIONS, _SAMPLE = 64, 500  # of the search: more directions make fewer candidates
_MOST_CANDIDATES = 20  # per row
_WINDOW_ROWS, _ROUNDING = 512, 1e-3
_MOST_REPEATS = 3  # mean number of examples per distinct row, for copies
_MOST_IDENTICAL = 10  # in a group to leave out: categories, short texts and placeholders repeat more often
_LEAST_DISTINCT = 10  # per class, where rows occur more than three times on average
_MOST_NAMED = 5  # groups, and labels of a group, in notes
_BLOCK_ROWS = 4096  # of projections, which have few columns
_READ_ROWS = 1024  # of features


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
            f"{int(self.has_copy.sum())} examples in {len(groups)} group{'s' if len(groups) > 1 else ''} are "
            f"copies of each other ({self._kinds()}); each was judged without its copies."
        ]
        lines += [_name_labels(labels[rows], ids[rows]) for rows in different[:_MOST_NAMED]]
        if len(different) > _MOST_NAMED:
            lines.append(
                f"{counted(len(different), 'group')} of copies have different labels; the first are named."
            )
        return lines

    def _kinds(self) -> str:
        num_identical, num_copies = int((self.is_exact & self.has_copy).sum()), int(self.has_copy.sum())
        if num_identical in (0, num_copies):
            return "all identical" if num_identical else "all near duplicates"
        return f"{num_identical} identical, the others near duplicates"

    def to_leave_out(self, labels: Int[np.ndarray, " n"]) -> Copies:
        """Groups that may be left out together when labels are judged; other examples stand alone.

        Rows that repeat like categories tell what the labels of equal rows are, and without them nothing may
        be left to learn from. These groups stay in: more than ten identical examples; most of a class; all
        groups, if there are few for the classes and examples occur more than three times on average.
        """
        num_groups, sizes = self.groups.max() + 1, np.bincount(labels)
        is_few = num_groups < _LEAST_DISTINCT * np.count_nonzero(sizes)
        if is_few and len(labels) > _MOST_REPEATS * num_groups:
            return _no_copies(len(labels))
        numbers = self.groups.copy()
        for rows in self.members():
            is_most = 2 * np.bincount(labels[rows], minlength=len(sizes)) > sizes
            if self.is_exact[rows].sum() > _MOST_IDENTICAL or is_most.any():
                numbers[rows] = len(labels) + rows
        groups = np.unique(numbers, return_inverse=True)[1]
        return Copies(groups, self.is_exact & (np.bincount(groups)[groups] > 1))

    def with_different_labels(self, labels: np.ndarray) -> list[Int[np.ndarray, " m"]]:
        """Groups whose members do not all have the same label."""
        return [rows for rows in self.members() if len(set(labels[rows].tolist())) > 1]


def _name_labels(labels: np.ndarray, ids: np.ndarray) -> str:
    """A sentence with one id per label of a group."""
    of_label = {label: ids[labels == label] for label in dict.fromkeys(labels.tolist())}
    shown = [
        f"{found[0]!s} ({label!s}{f', {len(found)} times' if len(found) > 1 else ''})"
        for label, found in of_label.items()
    ]
    more = " and others" if len(shown) > _MOST_NAMED else ""
    return f"This example has {len(shown)} labels: {', '.join(shown[:_MOST_NAMED])}{more}."


def _no_copies(count: int) -> Copies:
    return Copies(np.arange(count), np.zeros(count, bool))


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
        return _no_copies(len(first))
    is_exact = np.bincount(first, minlength=len(first))[first] > 1
    place = np.searchsorted(distinct, first)
    if near > 0 and features.shape[1] >= _LEAST_COLUMNS and len(distinct) > 1:
        pairs, count = near_pairs(features, distinct, near), len(distinct)
        graph = scipy.sparse.coo_array((np.ones(len(pairs)), tuple(pairs.T)), shape=(count, count))
        place = connected_components(graph, directed=False)[1][place]
    return Copies(np.unique(place, return_inverse=True)[1], is_exact)


def shared_copies(features: Any, others: Any) -> Bool[np.ndarray, " m"]:
    """Whether each example of another set has a copy in the first, so that evaluation on it is too good.

    Args:
        features: (n, d), for example of the training set.
        others: (m, d), for example of a test set.
    """
    n = len(features)
    both = np.concatenate([np.asarray(features), np.asarray(others)])
    groups = find_copies(both).groups
    return np.isin(groups[n:], groups[:n])


def _first_equal(features: Any) -> Int[np.ndarray, " n"]:
    """The first row that is equal to each row."""
    blocks = row_blocks(len(features), _READ_ROWS)
    hashes = np.concatenate([_hashes(np.asarray(features[rows])) for rows in blocks])
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    found = first[inverse]
    repeats = np.flatnonzero(found != np.arange(len(found)))
    for part in row_blocks(len(repeats), _READ_ROWS):
        rows = repeats[part]
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

    Candidates are close in the projection on some orthogonal directions, which never makes a distance larger:
    no pair is missed. If there are more than 20 candidates per row, the encoder places whole classes that
    close, and there are no pairs.
    """
    sample = _unit(features, rows[:: -(-len(rows) // _SAMPLE)])
    directions = np.linalg.svd(sample - sample.mean(axis=0), full_matrices=False)[2][:_NUM_DIRECTIONS].T
    pairs = _candidates(_projected(features, rows, directions), near + _ROUNDING)
    if pairs is None:
        return np.empty((0, 2), np.int64)
    found = pairs[_distances_within(features, rows[pairs[:, 0]], rows[pairs[:, 1]], near)]
    has_near = len(np.unique(found))
    return found if 2 * has_near <= len(rows) or len(found) < len(rows) else found[:0]


def _projected(features: Any, rows: np.ndarray, directions: np.ndarray) -> Float[np.ndarray, "m r"]:
    """Rows of unit length on these directions."""
    points = np.empty((len(rows), directions.shape[1]), np.float32)
    for part in row_blocks(len(rows), _READ_ROWS):
        points[part] = _unit(features, rows[part]) @ directions
    return points


def _candidates(points: Float[np.ndarray, "m r"], near: float) -> Int[np.ndarray, "p 2"] | None:
    """Pairs of points at most `near` apart, or `None` if there are too many.

    Points are sorted by their first coordinate, so that each block is compared with a window only.
    """
    order = np.argsort(points[:, 0], kind="stable")
    points = points[order]
    squares = np.einsum("mr,mr->m", points, points)
    ends = np.searchsorted(points[:, 0], points[:, 0] + near, side="right")
    found, count = [], 0
    for start in range(0, len(points), _WINDOW_ROWS):
        stop = min(start + _WINDOW_ROWS, len(points))
        for left in range(start, int(ends[stop - 1]), _BLOCK_ROWS):
            right = min(left + _BLOCK_ROWS, int(ends[stop - 1]))
            apart = squares[start:stop, None] + squares[None, left:right]
            apart -= 2 * points[start:stop] @ points[left:right].T
            one, other = np.nonzero(apart <= near**2)
            is_later = other + left > one + start
            found.append(np.column_stack([one + start, other + left])[is_later])
            count += len(found[-1])
            if count > _MOST_CANDIDATES * len(points):
                return None
    pairs = np.concatenate(found) if found else np.empty((0, 2), np.int64)
    return np.sort(order[pairs], axis=1)


def _distances_within(
    features: Any, one: Int[np.ndarray, " p"], other: Int[np.ndarray, " p"], near: float
) -> Bool[np.ndarray, " p"]:
    """Whether each two rows of unit length are at most `near` apart."""
    is_near = np.zeros(len(one), bool)
    for part in row_blocks(len(one), _READ_ROWS):
        apart = _unit(features, one[part]) - _unit(features, other[part])
        is_near[part] = np.linalg.norm(apart, axis=1) <= near
    return is_near


def _unit(features: Any, rows: np.ndarray) -> Float[np.ndarray, "m d"]:
    block = np.asarray(features[rows])
    return unit_length(block.astype(row_type(block), copy=False)).astype(np.float32, copy=False)
