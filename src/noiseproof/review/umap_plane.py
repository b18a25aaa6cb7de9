"""A map by UMAP: examples that are alike lie together, and groups apart."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from jaxtyping import Float

from noiseproof.core.errors import BadData, missing_extra

_NUM_DIRECTIONS = 50
_NUM_NEIGHBOURS = 15  # the default of the package
_LEAST_APART = 0.5  # of points; with the package's 0.1, groups are too tight to draw a loop in them
_LEAST = 4


def load_umap() -> Any:
    """The module `umap`, or `MissingExtra`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ImportWarning)  # of its part that needs TensorFlow
            import umap
    except ModuleNotFoundError as error:
        raise missing_extra("umap-learn", "umap", "`map` = 'umap'") from error
    return umap


def umap_plane(coordinates: Float[np.ndarray, "n r"]) -> Float[np.ndarray, "n 2"]:
    """Places of the examples in the plane, by their first 50 coordinates; the same for the same coordinates.

    All are fitted: placing some by others (`transform` of the package) takes longer.

    Raises:
        MissingExtra: umap-learn is not installed.
        BadData: fewer than 4 examples, or all of them alike.

    Source: McInnes, Healy & Melville 2018, arXiv:1802.03426. It starts at the first two principal
    coordinates, as Kobak & Linderman 2021 advise, so that the places of groups mean something.
    """
    umap, n = load_umap(), len(coordinates)
    if n < _LEAST or not np.ptp(coordinates, axis=0).any():
        found = f"{n} examples" if n < _LEAST else "examples that are all alike"
        raise BadData(
            f"`map` = 'umap' has {found} to place; allowed: {_LEAST} or more that differ. Next: --map pca."
        )
    points = np.ascontiguousarray(coordinates[:, :_NUM_DIRECTIONS], np.float32)
    start = np.zeros((n, 2), np.float32)
    start[:, : points.shape[1]] = points[:, :2]
    model = umap.UMAP(
        n_neighbors=min(_NUM_NEIGHBOURS, n - 1), min_dist=_LEAST_APART, init=start, random_state=0, n_jobs=1
    )
    return np.asarray(model.fit_transform(points), np.float64)
