"""Examples around each example, as a reason to doubt its label: nearest neighbours, copies, and a map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from noiseproof.core.unit_length import unit_length
from noiseproof.posterior.copies import find_copies

NUM_NEIGHBOURS = 5
_MOST_DIRECTIONS = 128  # of the search; dev/LOG.md has what is lost
_LEAST_COLUMNS = 64  # of an encoder, whose rows are compared by direction
_SAMPLE, _BLOCK_ROWS = 1000, 4096
_MAP_SIDE = 1000
_NUM_SPARE = 8  # neighbours that may turn out to be copies


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What lies around each of n examples.

    Attributes:
        neighbours: rows of the nearest others that are no copies, nearest first; -1 where there are fewer.
        copies: row -> rows of its copies with another label.
        places: on a map of the two directions in which examples differ most, whole numbers in [0, 1000].
    """

    neighbours: Int[np.ndarray, "n m"]
    copies: dict[int, list[int]]
    places: Int[np.ndarray, "n 2"]


def find_surroundings(features: Any, labels: Int[np.ndarray, " n"]) -> Surroundings:
    """Neighbours, copies with another label, and a map.

    Args:
        features: (n, d), sliced by rows; read twice.
        labels: given class ids.
    """
    coordinates = principal_coordinates(features)
    copies = find_copies(features)
    pairs = {
        int(row): [int(other) for other in rows if labels[other] != labels[row]]
        for rows in copies.with_different_labels(labels)
        for row in rows
    }
    return Surroundings(nearest_others(coordinates, copies.groups), pairs, _on_map(coordinates))


def principal_coordinates(features: Any) -> Float[np.ndarray, "n r"]:
    """The examples along the directions in which they differ most, the first with the largest variance.

    Rows of encoders are scaled to unit length, so that Euclidean distances order as cosines do; few columns
    are standardised instead. Directions come from at most 1,000 rows, evenly spread.

    Args:
        features: (n, d), sliced by rows.
    """
    n, dim = features.shape
    sample = np.asarray(features[np.arange(0, n, -(-n // _SAMPLE))], np.float64)
    spread = sample.std(axis=0)
    scale = None if dim >= _LEAST_COLUMNS else np.where(spread > 0, spread, 1.0)

    def scaled(rows: np.ndarray) -> np.ndarray:
        return unit_length(rows) if scale is None else rows / scale

    sample = scaled(sample)
    mean = sample.mean(axis=0)
    # Right singular vectors by the smaller Gram matrix: its eigenvectors in a hundredth of the time.
    _, directions = (
        np.linalg.eigh((sample - mean).T @ (sample - mean)) if dim <= len(sample) else (None, None)
    )
    if directions is None:
        squares, left = np.linalg.eigh((sample - mean) @ (sample - mean).T)
        is_real = squares > 1e-12 * squares.max(initial=1e-300)
        directions = (sample - mean).T @ (left[:, is_real] / np.sqrt(squares[is_real]))
    directions = directions[:, ::-1][:, :_MOST_DIRECTIONS]
    signs = np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])])
    directions = directions * signs  # the same map on every machine
    blocks = (
        np.asarray(features[start : start + _BLOCK_ROWS], np.float64) for start in range(0, n, _BLOCK_ROWS)
    )
    return np.concatenate([((scaled(rows) - mean) @ directions).astype(np.float32) for rows in blocks])


def nearest_others(points: Float[np.ndarray, "n r"], groups: Int[np.ndarray, " n"]) -> Int[np.ndarray, "n m"]:
    """Rows of the nearest points of other groups, nearest first; -1 where there are fewer.

    Args:
        points: of the examples.
        groups: number of the group of copies of each.
    """
    from sklearn.neighbors import NearestNeighbors

    n = len(points)
    search = NearestNeighbors(n_neighbors=min(n, NUM_NEIGHBOURS + 1 + _NUM_SPARE), algorithm="brute").fit(
        points
    )
    found = search.kneighbors(points, return_distance=False)
    is_other = groups[found] != groups[:, None]
    order = np.argsort(~is_other, axis=1, kind="stable")[:, :NUM_NEIGHBOURS]
    rows = np.full((n, NUM_NEIGHBOURS), -1)
    rows[:, : order.shape[1]] = np.where(
        np.take_along_axis(is_other, order, 1), np.take_along_axis(found, order, 1), -1
    )
    return rows


def _on_map(coordinates: np.ndarray) -> Int[np.ndarray, "n 2"]:
    """The first two coordinates; the outermost hundredth of the points lies on the edge."""
    plane = np.zeros((len(coordinates), 2))
    plane[:, : coordinates.shape[1]] = coordinates[:, :2]
    low, high = np.quantile(plane, [0.005, 0.995], axis=0)
    span = np.where(high > low, high - low, 1.0)
    return np.round(_MAP_SIDE * np.clip((plane - low) / span, 0, 1)).astype(np.int64)
