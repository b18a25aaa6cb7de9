"""Encoders as two files that others can use: weights as float16 safetensors, and a JSON card.

The card has the command, settings, data, noise, accuracy and spectrum of the encoder, its preprocessing, and
the prefix of the image tower's weights.
"""

from __future__ import annotations

from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from noiseproof.core.storage.checksums import check_bytes
from noiseproof.core.storage.documents import Document, parse_document

if TYPE_CHECKING:
    from torch import Tensor

_INSTALL_AGAIN = "install noiseproof again, or pack your encoder again"


class PackedNoise(BaseModel):
    """Noise in the labels or captions that an encoder learned from; the rate is in [0, 1]."""

    model_config = ConfigDict(frozen=True, extra="allow")
    kind: str | None
    asked_rate: float


class PackedSpectrum(BaseModel):
    """Spectrum of the features of the test images."""

    model_config = ConfigDict(frozen=True, extra="allow")
    entropy_nats: float
    largest_ratio: float


class PackedCard(Document):
    """The JSON file of a packed encoder; it has more keys, such as the settings and versions.

    Attributes:
        objective: "supervised", "image-text" or "simclr".
        model: name of the trained model.
        architecture: timm's name of the image tower; `None` where timm has none.
        prefix: of the names of the image tower's weights.
        preprocessing: which images it takes, see `timm_backbone.preprocessing_of`.
        noise: in what it learned from.
        results: its one result, a name and a value in [0, 1].
        spectrum: of its features.
        sha256: of the file of weights.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    objective: str
    model: str
    architecture: str | None
    prefix: str
    preprocessing: dict[str, Any]
    noise: PackedNoise
    results: dict[str, float]
    spectrum: PackedSpectrum
    sha256: str

    @property
    def result(self) -> tuple[str, float]:
        """Name and value of the one result."""
        ((metric, value),) = self.results.items()
        return metric, value


def read_packed_card(file: Traversable, name: str) -> PackedCard:
    """The card of a packed encoder.

    Raises:
        OtherSchema: another version of noiseproof wrote it.
        DamagedFile: it is no such card.
    """
    return parse_document(file.read_bytes(), PackedCard, source=f"card of {name}", next_step=_INSTALL_AGAIN)


def read_weights(file: Traversable, card: PackedCard, name: str) -> dict[str, Tensor]:
    """The weights that a card describes, as in the file.

    Raises:
        DamagedFile: the card describes other weights.
    """
    from safetensors.torch import load

    content = file.read_bytes()
    check_bytes(f"weights of {name}", content, card.sha256, next_step=_INSTALL_AGAIN)
    return load(content)
