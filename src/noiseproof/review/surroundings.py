"""Examples around each example, as a reason to doubt its label: nearest neighbours, copies, and a map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from noiseproof.core.unit_length import unit_length
from noiseproof.posterior.copies import find_copies
from noiseproof.review.umap_plane import umap_plane

Map = Literal["pca", "umap"]
NUM_NEIGHBOURS = 5
MOST_SEARCHED = 10_000  # examples whose neighbours are found
# Directions of the search: all up to 10,000 examples of 1,280 numbers, then fewer, so that it takes seconds;
# dev/LOG.md has what is lost.
_PRODUCTS, _LEAST_DIRECTIONS = 1.5e11, 128
_LEAST_COLUMNS = 64  # of an encoder, whose rows are compared by direction
_SAMPLE, _BLOCK_ROWS = 2000, 4096
_MAP_SIDE = 1000
_NUM_SPARE = 8  # neighbours that may turn out to be copies


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What lies around each of n examples.

    Attributes:
        neighbours: rows of the nearest others that are no copies, nearest first; -1 where there are fewer,
            and for examples that were not searched for.
        copies: row -> rows of its copies with another label.
        places: on the map, whole numbers in [0, 1000].
    """

    neighbours: Int[np.ndarray, "n m"]
    copies: dict[int, list[int]]
    places: Int[np.ndarray, "n 2"]


def find_surroundings(
    features: Any,
    labels: Int[np.ndarray, " n"],
    order: Int[np.ndarray, " n"],
    *,
    kind_of_map: Map = "pca",
) -> Surroundings:
    """Neighbours, copies with another label, and a map.

    Args:
        features: (n, d), sliced by rows; read twice.
        labels: given class ids.
        order: the rows, those first whose neighbours are wanted most; 10,000 get them.
        kind_of_map: the two directions in which examples differ most, or UMAP.
    """
    coordinates = principal_coordinates(features)
    copies = find_copies(features)
    pairs = {
        int(row): [int(other) for other in rows if labels[other] != labels[row]]
        for rows in copies.with_different_labels(labels)
        for row in rows
    }
    neighbours = np.full((len(labels), NUM_NEIGHBOURS), -1)
    searched = order[:MOST_SEARCHED]
    neighbours[searched] = nearest_others(coordinates, copies.groups, searched)
    plane = umap_plane(coordinates) if kind_of_map == "umap" else coordinates
    return Surroundings(neighbours, pairs, _on_map(plane))


def principal_coordinates(features: Any) -> Float[np.ndarray, "n r"]:
    """The examples along the directions in which they differ most, the first with the largest variance.

    Rows of encoders are scaled to unit length, so that Euclidean distances order as cosines do; few columns
    are standardised instead. Directions come from at most 2,000 rows, evenly spread.
    """
    n, dim = features.shape
    sample = np.asarray(features[np.arange(0, n, -(-n // _SAMPLE))], np.float64)
    spread = sample.std(axis=0)
    scale = None if dim >= _LEAST_COLUMNS else np.where(spread > 0, spread, 1.0)

    def scaled(rows: np.ndarray) -> np.ndarray:
        return unit_length(rows) if scale is None else rows / scale

    sample = scaled(sample)
    mean = sample.mean(axis=0)
    most = max(_LEAST_DIRECTIONS, int(_PRODUCTS / n / min(n, MOST_SEARCHED)))
    directions = _principal_directions(sample - mean)[:, :most]
    blocks = (
        np.asarray(features[start : start + _BLOCK_ROWS], np.float64) for start in range(0, n, _BLOCK_ROWS)
    )
    return np.concatenate([((scaled(rows) - mean) @ directions).astype(np.float32) for rows in blocks])


def _principal_directions(centred: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "d r"]:
    """Right singular vectors, the largest first, by the smaller Gram matrix: in a hundredth of the time."""
    m, dim = centred.shape
    if dim <= m:
        directions = np.linalg.eigh(centred.T @ centred)[1]
    else:
        squares, left = np.linalg.eigh(centred @ centred.T)
        is_real = squares > 1e-12 * squares.max()
        is_real[-1] = True
        directions = centred.T @ (left[:, is_real] / np.sqrt(np.maximum(squares[is_real], 1e-300)))
    directions = directions[:, ::-1]
    largest = np.abs(directions).argmax(axis=0)
    return directions * np.sign(directions[largest, np.arange(directions.shape[1])])  # the same everywhere


def nearest_others(
    points: Float[np.ndarray, "n r"], groups: Int[np.ndarray, " n"], rows: Int[np.ndarray, " q"]
) -> Int[np.ndarray, "q m"]:
    """The nearest points of other groups for each of these rows, nearest first; -1 where there are fewer."""
    from sklearn.neighbors import NearestNeighbors

    num = min(len(points), NUM_NEIGHBOURS + 1 + _NUM_SPARE)
    search = NearestNeighbors(n_neighbors=num, algorithm="brute").fit(points)
    found = search.kneighbors(points[rows], return_distance=False)
    is_other = groups[found] != groups[rows][:, None]
    order = np.argsort(~is_other, axis=1, kind="stable")[:, :NUM_NEIGHBOURS]
    nearest = np.full((len(rows), NUM_NEIGHBOURS), -1)
    nearest[:, : order.shape[1]] = np.where(
        np.take_along_axis(is_other, order, 1), np.take_along_axis(found, order, 1), -1
    )
    return nearest


def _on_map(coordinates: np.ndarray) -> Int[np.ndarray, "n 2"]:
    """The first two coordinates; the outermost hundredth of the points lies on the edge."""
    plane = np.zeros((len(coordinates), 2))
    plane[:, : coordinates.shape[1]] = coordinates[:, :2]
    low, high = np.quantile(plane, [0.005, 0.995], axis=0)
    span = np.maximum(high - low, 1e-6 * (high - low).max() or 1.0)  # rounding is no difference
    return np.round(_MAP_SIDE * np.clip((plane - low) / span, 0, 1)).astype(np.int64)
