"""The interface of encoders, whatever they encode and wherever they run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from noiseproof.core.errors import invalid
from noiseproof.core.records import Kind
from noiseproof.core.registry import unknown_name
from noiseproof.core.storage.documents import Document

if TYPE_CHECKING:
    from torch import nn


class EncoderIdentity(Document):
    """Identity of an encoder: two encoders of one identity give the same features.

    Attributes:
        name: as the user wrote it.
        kind: the kind of data set it reads.
        layer: which features of the model these are.
        weights_hash: SHA-256 over the weights that are used.
        transform: how an example is prepared, in words that change when the result would.
    """

    name: str
    kind: Kind
    layer: str
    weights_hash: str
    transform: str


class AbstractBackbone(ABC):
    """A frozen encoder. `prepare` is called from several threads, `encode` from one.

    Its attributes are those of `EncoderIdentity`, which the feature store puts into its key, so a text tower
    or an embedding service needs nothing more than to fill them in.

    Attributes:
        dim: d, width of the features; `None` where the examples decide.
    """

    name: str
    kind: Kind
    dim: int | None
    layer: str
    weights_hash: str
    transform: str

    @property
    def identity(self) -> EncoderIdentity:
        """What features depend on besides the data."""
        return EncoderIdentity(
            name=self.name, kind=self.kind, layer=self.layer, weights_hash=self.weights_hash,
            transform=self.transform,
        )  # fmt: skip

    @abstractmethod
    def prepare(self, example: Any) -> np.ndarray:
        """One example as an array that can be stacked into a batch."""

    def stack(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        """A batch of prepared examples; all have one shape, unless an encoder can do with more."""
        return np.stack(prepared)

    def limit_tokens(self, max_tokens: int) -> None:
        """Cut texts off after fewer tokens than the encoder could read.

        Raises:
            InvalidArgument: it counts no tokens here, or cannot read so many.
        """
        raise invalid(
            "max_tokens", max_tokens, f"nothing for {self.name}",
            "Only hf:, st: and bundled text encoders cut texts off here. Next: leave it out.",
        )  # fmt: skip

    def is_cut(self, example: Any) -> bool:
        """Whether the encoder reads a part of the example only."""
        return False

    @abstractmethod
    def encode(self, batch: np.ndarray) -> Float[np.ndarray, "b d"]:
        """Features of a stack of at least one prepared example, float32, in the simplest correct way."""


def chosen_layer(layer: str | None, known: Sequence[str]) -> str:
    """The layer that the user named, else the first of those that an encoder has.

    Raises:
        UnknownName: it has no such layer.
    """
    if layer is not None and layer not in known:
        raise unknown_name("layer", layer, known)
    return layer or known[0]


class AbstractTorchBackbone(AbstractBackbone):
    """A backbone whose `encode` is a torch module, which engines can move, cast or export.

    Attributes:
        module: from the prepared batch to (b, d); in evaluation mode, without gradients.
        free_axes: axes of the batch, beside the first, whose length differs from batch to batch.
    """

    module: nn.Module
    free_axes: tuple[int, ...] = ()

    def lengthened(self, batch: np.ndarray) -> np.ndarray:
        """The batch with free axes as long as PyTorch needs to compute each row as if it were alone."""
        return batch
