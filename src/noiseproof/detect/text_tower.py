"""What detectors need of the text tower of an image-text model, and images in the space that it shares."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from noiseproof.core.checks import check_finite, check_matrix
from noiseproof.core.errors import invalid


@runtime_checkable  # for the shape checks of the tests
class TextTower(Protocol):
    """The frozen text tower for the classes of one data set; `backbones.text_towers.PromptTower` is one.

    Attributes:
        class_names: k names.
        context_dim: d, width of a learnable vector.
        scale: s, of cosines.
    """

    class_names: tuple[str, ...]
    context_dim: int
    scale: float

    def encode(self, contexts: Float[Tensor, "c m d"]) -> Float[Tensor, "c k e"]:
        """Unit directions of all classes for each learnable context."""
        ...

    def directions(self) -> Float[Tensor, "k e"]:
        """Unit directions of all classes in words."""
        ...


def unit_rows(features: Any) -> Float[Tensor, "n e"]:
    """Images as directions, float32.

    Raises:
        BadData: no matrix, NaN or infinity (the row is named).
    """
    rows = np.asarray(features)
    check_matrix(rows)
    check_finite(rows)
    return nn.functional.normalize(torch.from_numpy(rows.astype(np.float32)), dim=-1)


def check_shared_space(rows: Tensor, width: int) -> None:
    """Raise unless images are as wide as the text's directions."""
    if rows.shape[1] != width:
        raise invalid(
            "features", f"of shape {tuple(rows.shape)}", f"(n, {width}), as wide as the text's directions",
            "Next: extract them with the same image-text model and layer='projected'.",
        )  # fmt: skip
