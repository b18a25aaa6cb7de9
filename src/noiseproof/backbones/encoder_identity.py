"""What features depend on besides the data: an encoder in five words, for keys and records."""

from __future__ import annotations

from noiseproof.core.records import Kind
from noiseproof.core.storage.documents import Document


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
