"""Features whose rows are read when they are needed, so that nothing holds a second copy of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from noiseproof.core.row_blocks import row_blocks

BLOCK_ROWS = 1024


class RowReader:
    """Rows of features as float32 tensors, scaled.

    Args:
        features: (n, d) array-like; gives rows by slice and by integer array.
        scale: of the rows that were read.
    """

    def __init__(self, features: Any, scale: Callable[[Tensor], Tensor]) -> None:
        self._features, self._scale = features, scale
        self.shape = tuple(features.shape)

    def __getitem__(self, rows: slice | Int[Tensor, "*b"]) -> Float[Tensor, "*b d"]:
        if isinstance(rows, slice):
            return self._scale(_as_tensor(self._features[rows]))
        return self._scale(_as_tensor(self._features[rows.numpy().ravel()])).view(*rows.shape, -1)

    def blocks(self) -> Iterator[Float[Tensor, "b d"]]:
        """All rows in their order."""
        yield from (self[part] for part in row_blocks(self.shape[0], BLOCK_ROWS))


def _as_tensor(rows: Any) -> Float[Tensor, "b d"]:
    return torch.from_numpy(np.asarray(rows).astype(np.float32))
