"""Features of a data set as a configuration asks for them; every flow goes through here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.base import AbstractBackbone
from noiseproof.backbones.text_towers import SHARED_SPACE, USUAL_MODEL, check_shared_layer
from noiseproof.config.data import EncoderConfig
from noiseproof.core.errors import BadData
from noiseproof.core.records import Dataset, rows_by_id
from noiseproof.features.extract import extract
from noiseproof.features.matrix import ShardedMatrix
from noiseproof.features.store import StoredFeatures, load_features


def aligned_features(folder: Path, dataset: Dataset) -> Any:
    """Stored features in the order of a data set, still on disk.

    Raises:
        MissingFile: no features there.
        BadData: they are not of these examples.
    """
    stored = load_features(folder)
    rows, absent = rows_by_id(dataset.ids, stored.ids)
    if absent:
        raise BadData(
            f"The features in {str(folder)!r} have no example {absent[0]!r} of {dataset.name!r}; allowed: "
            f"features of all its examples. Next: noiseproof extract {dataset.name} --out {folder}"
        )
    return stored.features.rows(rows)


def backbone_of(config: EncoderConfig, dataset: Dataset) -> AbstractBackbone:
    """The encoder that is named, else the usual one for such examples."""
    default = "features:" if dataset.kind == "features" else "bundled:efficientnet-lite0"
    return open_backbone(config.backbone or default, layer=config.layer)


def image_half_of(config: EncoderConfig) -> AbstractBackbone:
    """That of the image-text model that is named, else of the usual one, with features that texts share."""
    layer = config.layer or SHARED_SPACE
    check_shared_layer(layer)
    return open_backbone(config.backbone or USUAL_MODEL, layer=layer)


def encoded(
    config: EncoderConfig, dataset: Dataset, backbone: AbstractBackbone, store: Path
) -> StoredFeatures:
    """Features of every example, from the store where they are there already."""
    return extract(
        dataset, backbone, store=store, batch_size=config.batch_size, engine=config.engine,
        precision=config.precision, dtype=config.dtype,
    )  # fmt: skip


def features_in(folder: Path, dataset: Dataset) -> tuple[ShardedMatrix, StoredFeatures]:
    """Features that are there, in the order of a data set.

    Raises:
        MissingFile: no features there.
        BadData: they are of another data set: an id is missing, or ids agree and contents do not.
    """
    rows, stored = aligned_features(folder, dataset), load_features(folder)
    made_of = stored.manifest.components["fingerprint"]
    if len(stored) == len(dataset) and made_of != dataset.fingerprint:
        raise BadData(
            f"The features in {str(folder)!r} are of another data set, {stored.manifest.dataset!r}: the "
            f"ids are those of {dataset.name!r}, the examples are not. Next: noiseproof extract "
            f"{dataset.name} --out with a new folder."
        )
    return rows, stored
