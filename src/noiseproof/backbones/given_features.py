"""`features:`: for a matrix you already have, the encoder that changes nothing."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from jaxtyping import Float

from noiseproof.backbones.base import AbstractBackbone, chosen_layer
from noiseproof.core.errors import invalid
from noiseproof.core.records import Kind

LAYER = "given"


class GivenFeatures(AbstractBackbone):
    """The identity on rows of features; they are stored as float32."""

    name = "features:"
    kind: Kind = "features"
    dim = None
    layer = LAYER
    weights_hash = hashlib.sha256(b"").hexdigest()
    transform = "rows as given"

    def prepare(self, example: Any) -> Float[np.ndarray, " d"]:
        """The row as float32."""
        return np.asarray(example, dtype=np.float32)

    def encode(self, batch: Float[np.ndarray, "b d"]) -> Float[np.ndarray, "b d"]:
        """The batch itself."""
        return batch


def open_given(rest: str, *, layer: str | None = None) -> GivenFeatures:
    """The identity encoder; the matrix itself is the data set."""
    check_given_name(rest)
    chosen_layer(layer, [LAYER])
    return GivenFeatures()


def check_given_name(rest: str) -> None:
    """Refuse anything after the prefix."""
    if rest:
        raise invalid(
            "backbone", f"features:{rest}", "'features:' alone",
            "Next: name the file of features as the data set, not as the backbone.",
        )  # fmt: skip
