r"""Labels that differ from those of most nearest neighbours.

The k nearest neighbours by cosine vote, each with its cosine as the weight; a label is an issue if another
class gets more votes.

Copies of an example have one vote together, the most frequent of their labels, and none on each other.

Source: Zhu, Dong & Liu 2022, arXiv:2110.06283, Section 4.1 (local voting, SimiFeat-V, k = 10).
Differs: one pass over fixed features instead of the majority over augmented epochs; rows with lengths
(`posterior.ridge_rows`) where these tell the labels better.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from noiseproof.core.errors import BadData, invalid, missing_extra
from noiseproof.core.row_blocks import row_blocks
from noiseproof.core.unit_length import unit_length
from noiseproof.detect.detector_result import DetectorResult, result_from_decision
from noiseproof.detect.evidence import Evidence
from noiseproof.posterior.ridge_rows import row_type

MOST_EXACT = 20_000  # rows; for more, a graph is searched if faiss is installed
_DEFAULT_K = 10
_LEAST_OF_A_CLASS = 2
_BLOCK_ROWS, _TILE = 512, 4096  # of the similarities that are held at once; a graph takes a tile at once
_GRAPH_DEGREE, _BUILD_WIDTH, _SEARCH_WIDTH = 32, 40, 64  # parameters of faiss's HNSW index
_PRIOR = 1.0  # one pseudo-vote spread over all classes, so that no probability is 0 or 1


def neighbours_detector(evidence: Evidence, *, k: int | None = None, search: str = "auto") -> DetectorResult:
    """Weighted vote of the nearest neighbours; suspicion is one minus the share of votes for the given label.

    Args:
        evidence: with features.
        k: number of voting neighbours; by default 10, or all other examples if they are fewer.
        search: "exact", "graph" (faiss, HNSW), or "auto": exact up to 20,000 rows or without faiss.
    """
    features, given = evidence.require("features", "neighbours"), evidence.given_labels
    _check_classes(evidence)
    seen = features if evidence.rows.kind == "direction" else evidence.rows
    groups = evidence.copies.groups
    voters = most_frequent_labels(given, groups, num_classes=evidence.num_classes)
    most = len(voters) - 1
    if k is not None and k > most:
        raise invalid("method_options['k']", k, f"1 to {most}, one less than the number of examples")
    found, similarities = nearest(seen, num=k or min(_DEFAULT_K, most), search=search, groups=groups)
    votes = weighted_votes(voters[found], similarities, num_classes=evidence.num_classes)
    probs = (votes + _PRIOR / evidence.num_classes) / (votes.sum(1, keepdims=True) + _PRIOR)
    preferred = probs.argmax(1)
    of_given = np.take_along_axis(probs, given[:, None], 1)[:, 0]
    is_issue = of_given < probs.max(1)
    return result_from_decision(
        1.0 - of_given, is_issue, np.where(is_issue, preferred, given), given,
        num_classes=evidence.num_classes, method="neighbours", probs=probs,
    )  # fmt: skip


def weighted_votes(
    labels: Int[np.ndarray, "n m"], similarities: Float[np.ndarray, "n m"], *, num_classes: int
) -> Float[np.ndarray, "n k"]:
    """Sum of the neighbours' weights for each class; the mean weight in a row is 1.

    Args:
        labels: of the neighbours.
        similarities: cosines.
        num_classes: k.
    """
    n, m = labels.shape
    weights = np.clip(similarities.astype(np.float64), 0.0, None) + 1e-6
    weights *= m / weights.sum(1, keepdims=True)
    votes = np.zeros((n, num_classes))
    np.add.at(votes, (np.arange(n)[:, None], labels), weights)
    return votes


def most_frequent_labels(
    labels: Int[np.ndarray, " n"], groups: Int[np.ndarray, " n"], *, num_classes: int
) -> Int[np.ndarray, " g"]:
    """The most frequent label of each group, the smallest if several are."""
    pairs, counts = np.unique(groups * num_classes + labels, return_counts=True)
    order = np.lexsort((pairs, -counts, pairs // num_classes))
    _, first = np.unique(pairs[order] // num_classes, return_index=True)
    return pairs[order][first] % num_classes


def nearest(
    features: Any, *, num: int, search: str = "auto", groups: Int[np.ndarray, " n"] | None = None
) -> tuple[Int[np.ndarray, "n m"], Float[np.ndarray, "n m"]]:
    """Nearest other groups of each row by cosine, nearest first, and their cosines.

    Args:
        features: (n, d), array-like; to a row of zeros all others are equally near.
        num: m, less than the number of groups.
        search: see `neighbours_detector`.
        groups: number of the group of copies of each row, from 0; its first row stands for a group. By
            default every row is a group of its own.
    """
    own = np.arange(len(features)) if groups is None else groups
    others = np.unique(own, return_index=True)[1]
    has_graph = importlib.util.find_spec("faiss") is not None
    is_exact = search == "exact" or (search == "auto" and (len(own) <= MOST_EXACT or not has_graph))
    return (_by_tiles if is_exact else _by_graph)(features, others, own, num)


def _unit_rows(features: Any, rows: Any) -> Float[np.ndarray, "m d"]:
    """Some rows at unit length, made when they are needed: features may be on disk, or fill the memory."""
    return unit_length(np.asarray(features[rows], row_type(features))).astype(np.float32, copy=False)


def _by_tiles(features: Any, others: np.ndarray, own: np.ndarray, num: int) -> tuple[np.ndarray, np.ndarray]:
    n = len(own)
    rows, similarities = np.zeros((n, num), np.int64), np.full((n, num), -np.inf, np.float32)
    for part in row_blocks(len(others), _TILE):
        tile, first = _unit_rows(features, others[part]), part.start
        for block in row_blocks(n, _BLOCK_ROWS):
            found = _unit_rows(features, block) @ tile.T
            is_here = (own[block] >= first) & (own[block] < first + len(tile))
            # No row is a neighbour of itself or of a copy.
            found[np.flatnonzero(is_here), own[block][is_here] - first] = -np.inf
            similarities[block], rows[block] = _nearest_of_both(
                similarities[block], rows[block], found, first, num
            )
    return rows, similarities


def _nearest_of_both(
    best: np.ndarray, best_rows: np.ndarray, found: np.ndarray, first: int, num: int
) -> tuple[np.ndarray, np.ndarray]:
    """The best similarities so far and those of the rows from `first` on -> the best of both, sorted."""
    both = np.concatenate([best, found], axis=1)
    part = np.argpartition(-both, num - 1, axis=1)[:, :num]
    part.sort(axis=1)  # of equal ones the first row comes first
    near = np.take_along_axis(both, part, 1)
    order = np.argsort(-near, axis=1, kind="stable")
    part, near = np.take_along_axis(part, order, 1), np.take_along_axis(near, order, 1)
    old = np.take_along_axis(best_rows, np.minimum(part, num - 1), 1)
    return near, np.where(part < num, old, part - num + first)


def _by_graph(features: Any, others: np.ndarray, own: np.ndarray, num: int) -> tuple[np.ndarray, np.ndarray]:
    """Approximate search with faiss. Source: Malkov & Yashunin 2020, arXiv:1603.09320.

    The graph keeps the rows at half precision, which moves a cosine by less than 0.001.
    """
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise missing_extra("faiss-cpu", "scale", "`search` = 'graph'") from error
    half: Any = faiss.ScalarQuantizer.QT_fp16
    index = faiss.IndexHNSWSQ(features.shape[1], half, _GRAPH_DEGREE, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = _BUILD_WIDTH, max(_SEARCH_WIDTH, 2 * num)
    for part in row_blocks(len(others), _TILE):
        index.add(_unit_rows(features, others[part]))
    rows, similarities = np.empty((len(own), num), np.int64), np.empty((len(own), num), np.float32)
    for block in row_blocks(len(own), _TILE):
        near, near_rows = index.search(_unit_rows(features, block), num + 1)
        rows[block], similarities[block] = _without_own(near_rows, near, own[block])
    return rows, similarities


def _without_own(
    rows: np.ndarray, similarities: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Remove each row's own group from its neighbours, or the last one if it is missing (equal rows)."""
    is_own = rows == own[:, None]
    is_own[~is_own.any(1), -1] = True
    shape = (len(rows), rows.shape[1] - 1)
    return rows[~is_own].reshape(shape), similarities[~is_own].reshape(shape)


def _check_classes(evidence: Evidence) -> None:
    counts = np.bincount(evidence.given_labels, minlength=evidence.num_classes)
    few = np.flatnonzero((counts > 0) & (counts < _LEAST_OF_A_CLASS))
    if len(few):
        raise BadData(
            f"The class {evidence.classes[few[:1]].tolist()[0]!r} has {counts[few[0]]} example ({len(few)} "
            f"such classes); the method 'neighbours' needs {_LEAST_OF_A_CLASS} or more of each, since no "
            "other example can vote for it. Next: leave the class out or take the method 'leave_one_out'."
        )
