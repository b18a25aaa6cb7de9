"""The data sets of a flow with their features: each is encoded once, as a stage."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from noiseproof.config.data import EncoderConfig, EncodersConfig
from noiseproof.core.records import Dataset
from noiseproof.features.matrix import ShardedMatrix
from noiseproof.features.store import StoredFeatures
from noiseproof.pipelines.inputs.data_parts import DataPart, DataParts
from noiseproof.pipelines.inputs.encoding import Encoder, cut_notes, encode
from noiseproof.pipelines.inputs.inputs import short_name
from noiseproof.pipelines.outputs.stages import Stages


@dataclass(frozen=True, eq=False)
class EncodedParts:
    """The data of a run with their features, still on disk.

    Attributes:
        parts: data sets with their roles.
        stored: fingerprint of each whole data set and of each view -> its features.
    """

    parts: DataParts
    stored: Mapping[str, StoredFeatures]

    def of(self, dataset: Dataset) -> StoredFeatures:
        """Features of a whole data set, or of an augmented view."""
        return self.stored[dataset.fingerprint]

    def features(self, part: DataPart) -> ShardedMatrix:
        """Features of the examples of a part."""
        features = self.of(part.whole).features
        return features if part.rows is None else features.rows(part.rows)

    def key(self, part: DataPart) -> list[Any]:
        """Everything that results on the features of a part depend on, for the key of a stage."""
        return [self.of(part.whole).manifest.key, part.rows, part.dataset.class_names]

    @property
    def views(self) -> list[StoredFeatures]:
        """Features of the augmented views of the training examples; none with `views=1`."""
        return [self.of(view) for view in self.parts.views]

    @property
    def dim(self) -> int:
        """Width of the features."""
        return self.of(self.parts.train.whole).manifest.dim

    @property
    def num_encoded(self) -> int:
        """Examples that went through the encoder in this start."""
        return sum(stored.num_encoded for stored in self.stored.values())

    def cut_notes(self) -> list[str]:
        """Notes on texts that are longer than an encoder reads, each once."""
        lines = (line for part in self.parts.all for line in cut_notes(part.whole, self.of(part.whole)))
        return list(dict.fromkeys(lines))


def encode_once(
    stages: Stages, config: EncoderConfig | EncodersConfig, parts: DataParts, encoder: Encoder
) -> EncodedParts:
    """Features of all data sets of a run, from the store or from the encoder."""
    stored = {}
    for dataset in parts.to_extract:
        name = f"extract-{dataset.fingerprint[:16]}"
        stored[dataset.fingerprint] = encode_stage(stages, name, config, dataset, encoder)
    return EncodedParts(parts, stored)


def encode_stage(
    stages: Stages, name: str, config: EncoderConfig | EncodersConfig, dataset: Dataset, encoder: Encoder
) -> StoredFeatures:
    """Features of one data set; the stage of this name has the time that they took."""
    begin = time.perf_counter()
    stored = encode(config, dataset, encoder, config.cache)
    stages.once(
        name, title=f"extract {short_name(dataset.name)}", depends_on=stored.manifest.key,
        make=lambda folder: (), spent_s=time.perf_counter() - begin,
    )  # fmt: skip
    return stored
