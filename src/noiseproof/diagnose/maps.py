"""Feature maps: examples as points in the plane, by principal components and t-SNE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from noiseproof.core.checks import check_finite, check_matrix
from noiseproof.core.errors import BadData, invalid
from noiseproof.core.rng import stream, torch_seed

_DIMS_FOR_TSNE = 30  # principal components as input of t-SNE; van der Maaten & Hinton 2008, Section 4.2
_PERPLEXITY = 30.0


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """Examples as points in the plane.

    Attributes:
        rows: row numbers of the examples, ascending.
        linear: their first two principal components, in units of the scaled features.
        explained: share of the variance of each component, in [0, 1].
        neighbours: coordinates by t-SNE; only neighbourhoods are meaningful.
    """

    rows: Int[np.ndarray, " m"]
    linear: Float[np.ndarray, "m 2"]
    explained: Float[np.ndarray, " 2"]
    neighbours: Float[np.ndarray, "m 2"]


def feature_map(features: Any, *, max_points: int = 2000, seed: int = 0) -> FeatureMap:
    """Principal components and t-SNE of at most `max_points` examples, each scaled to length 1.

    Args:
        features: (n, d) array-like that can be indexed by rows.
        max_points: at least 4; a larger set is sampled, because t-SNE takes minutes on ten thousand examples.
        seed: of the sample and of t-SNE.

    Raises:
        InvalidArgument: `max_points` is below 4.
        BadData: fewer than 4 examples, NaN or infinity (the row is named).

    Source: van der Maaten & Hinton 2008 (t-SNE). Rows of length 1 as in the released code of Chen, Wang et
    al. 2024, arXiv:2309.17002.
    Differs: the released code also subtracts the mean of each row's entries.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if max_points < 4:
        raise invalid("max_points", max_points, "a whole number >= 4")
    check_matrix(features)
    n = len(features)
    if n < 4:
        raise BadData(f"`features` has {n} rows; allowed for a map: 4 or more. Next: extract more examples.")
    rows = np.arange(n)
    if n > max_points:
        rows = np.sort(stream(seed, "map").choice(n, max_points, replace=False))
    as_given = np.asarray(features[rows])
    chosen = as_given.astype(np.float64)
    check_finite(chosen)
    lengths = np.linalg.norm(chosen, axis=1, keepdims=True)
    chosen = chosen / np.maximum(lengths, np.finfo(np.float64).tiny)
    precision = np.finfo(as_given.dtype if as_given.dtype.kind == "f" else np.float64).eps
    if (np.ptp(chosen, axis=0) <= 4 * precision * np.abs(chosen).max(axis=0)).all():
        raise BadData(
            "All rows of `features` are equal up to a factor; allowed: rows with different directions. "
            "Next: check the encoder."
        )
    components = PCA(min(_DIMS_FOR_TSNE, *chosen.shape), svd_solver="full").fit(chosen)
    reduced = components.transform(chosen)
    tsne = TSNE(
        perplexity=min(_PERPLEXITY, (len(rows) - 1) / 3),
        init=_start(reduced),
        random_state=torch_seed(seed, "map", "t-SNE") % 2**32,
    )
    plane, explained = np.zeros((len(rows), 2)), np.zeros(2)
    plane[:, : reduced.shape[1]] = reduced[:, :2]
    explained[: reduced.shape[1]] = components.explained_variance_ratio_[:2]
    return FeatureMap(rows, plane, explained, tsne.fit_transform(reduced).astype(np.float64))


def _start(reduced: Float[np.ndarray, "m c"]) -> Float[np.ndarray, "m 2"]:
    """The first two components at a small scale, an initialisation that preserves global structure.

    Source: Kobak & Linderman 2021.
    """
    start = np.zeros((len(reduced), 2), np.float32)
    start[:, : reduced.shape[1]] = reduced[:, :2]
    return start / np.std(start[:, 0]) * 1e-4
