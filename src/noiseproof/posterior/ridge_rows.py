"""Rows that a ridge head sees, of unit length, made from features block by block.

Three kinds of rows:
- "direction": the features scaled to unit length. The lengths are lost, which suits encoders. Of encoders
  whose features are never negative, the square roots: a few large features then say less (Arandjelovic &
  Zisserman 2012, CVPR, Section 2, as scaling to unit sum does not change the direction).
- "position": standardised columns and a constant column, scaled to unit length. Examples that differ in
  length only, or lie at the origin, stay apart.
- "kernel": similarities exp(-distance^2 / width) to some of the examples, for a few columns, where classes
  need not be apart along straight lines.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import scipy.spatial.distance
from jaxtyping import Float

from noiseproof.core.row_blocks import row_blocks
from noiseproof.core.unit_length import unit_length

Kind = Literal["direction", "position", "kernel"]
_NUM_LANDMARKS = 200  # of the kernel
_WIDTH = 0.2  # of the kernel, in units of the median squared distance
_BLOCK_ROWS = 8192


class DirectionRows:
    """Features, or their square roots, scaled to unit length; a row of zeros stays.

    Args:
        features: (n, d).
        use_roots: take square roots, with the sign of the feature, first.
    """

    kind: Kind = "direction"

    def __init__(self, features: Any, *, use_roots: bool = False) -> None:
        self._features, self._use_roots = features, use_roots
        self.shape, self.dtype = (features.shape[0], features.shape[1]), row_type(features)

    def __getitem__(self, rows: Any) -> Float[np.ndarray, "m d"]:
        block = np.asarray(self._features[rows], dtype=self.dtype, order="C")
        return unit_length(np.sign(block) * np.sqrt(np.abs(block)) if self._use_roots else block)


class _Standardiser:
    """Standardises columns, in float64; rows then have a mean squared length of 1, constant columns are 0."""

    def __init__(self, features: Any) -> None:
        n, d = features.shape
        shift = np.asarray(features[:1], dtype=np.float64)[0]
        sums, squares = np.zeros(d), np.zeros(d)
        for rows in row_blocks(n, _BLOCK_ROWS):
            block = np.asarray(features[rows]).astype(np.float64) - shift
            sums += block.sum(axis=0)
            squares += np.einsum("nd,nd->d", block, block)
        variance = np.maximum(squares / n - (sums / n) ** 2, 0.0)
        is_varied = variance > 1e-12 * (squares / n)  # smaller ones are rounding errors
        num_varied = max(1, int(is_varied.sum()))
        self._mean = shift + sums / n
        self._scale = np.where(is_varied, 1 / np.sqrt(np.where(is_varied, variance, 1.0) * num_varied), 0.0)

    def __call__(self, features: np.ndarray) -> Float[np.ndarray, "m d"]:
        return (features.astype(np.float64) - self._mean) * self._scale


class PositionRows:
    """Standardised columns and a constant column, scaled to unit length."""

    kind: Kind = "position"

    def __init__(self, features: Any) -> None:
        self._features, self._standardised = features, _Standardiser(features)
        self.shape, self.dtype = (features.shape[0], features.shape[1] + 1), row_type(features)

    def __getitem__(self, rows: Any) -> Float[np.ndarray, "m d"]:
        block = self._standardised(np.asarray(self._features[rows]))
        return unit_length(np.column_stack([block, np.ones(len(block))])).astype(self.dtype)


class KernelRows:
    """Similarities to at most 200 evenly spaced examples, scaled to unit length."""

    kind: Kind = "kernel"

    def __init__(self, features: Any) -> None:
        self._features, self._standardised = features, _Standardiser(features)
        step = -(-len(features) // _NUM_LANDMARKS)
        self._landmarks = np.unique(self._standardised(np.asarray(features[::step])), axis=0)
        squares = scipy.spatial.distance.pdist(self._landmarks, "sqeuclidean")
        self._width = _WIDTH * float(np.median(squares)) if len(squares) else 1.0
        self.shape, self.dtype = (features.shape[0], len(self._landmarks)), row_type(features)

    def __getitem__(self, rows: Any) -> Float[np.ndarray, "m d"]:
        block = self._standardised(np.asarray(self._features[rows]))
        squares = scipy.spatial.distance.cdist(block, self._landmarks, "sqeuclidean")
        # Far from all landmarks only the differences of the distances remain.
        squares -= squares.min(axis=1, keepdims=True)
        return unit_length(np.exp(-squares / self._width)).astype(self.dtype)


Rows = DirectionRows | PositionRows | KernelRows  # (n, d), sliced; read from the features when needed


def row_type(features: Any) -> np.dtype[Any]:
    """The type of the features, at least float32."""
    return np.result_type(np.asarray(features[:1]).dtype, np.float32)
