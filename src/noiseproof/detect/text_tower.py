"""Interface of the text tower of an image-text model, and image features in the shared space."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from noiseproof.core.arrays import as_matrix
from noiseproof.core.checks import check_finite, check_matrix
from noiseproof.core.errors import invalid
from noiseproof.core.row_blocks import row_blocks
from noiseproof.detect.row_reader import BLOCK_ROWS, RowReader


@runtime_checkable  # for the shape checks of the tests
class TextTower(Protocol):
    """A frozen text tower for the classes of one data set, such as `PromptTower`.

    Attributes:
        class_names: k names.
        context_dim: d, width of a learnable context vector.
        scale: s, factor of cosines in the logits.
    """

    class_names: tuple[str, ...]
    context_dim: int
    scale: float

    def encode(self, contexts: Float[Tensor, "c m d"]) -> Float[Tensor, "c k e"]:
        """Unit directions of all classes, for c learnable contexts of m vectors."""
        ...

    def directions(self) -> Float[Tensor, "k e"]:
        """Unit directions of all classes, described in words."""
        ...


def unit_rows(features: Any) -> RowReader:
    """Image features scaled to unit length, float32, read when they are needed.

    Raises:
        InvalidArgument, BadData: not a matrix; NaN or infinity (the row is named).
    """
    features = as_matrix(features, "features")
    check_matrix(features)
    for part in row_blocks(len(features), BLOCK_ROWS):
        check_finite(np.asarray(features[part]), first_row=part.start)
    return RowReader(features, partial(nn.functional.normalize, dim=-1))


def check_shared_space(rows: RowReader, width: int) -> None:
    """Raise `InvalidArgument` unless image features are as wide as the directions of the text."""
    if rows.shape[1] != width:
        raise invalid(
            "features", f"of shape {tuple(rows.shape)}",
            f"(n, {width}), as wide as the directions of the text",
            "Next: extract them with the same image-text model and layer='projected'.",
        )  # fmt: skip
