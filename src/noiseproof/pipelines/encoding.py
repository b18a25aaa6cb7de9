"""Encoders and features of a data set, as configurations name them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from noiseproof.backbones.shared_space import SHARED_SPACE, USUAL_MODEL, check_shared_layer
from noiseproof.config.data import EncoderConfig
from noiseproof.core.errors import BadData
from noiseproof.core.records import Dataset, rows_by_id
from noiseproof.features.lazy_encoder import LazyEncoder
from noiseproof.features.matrix import ShardedMatrix
from noiseproof.features.store import StoredFeatures, load_features


def aligned_features(folder: Path, dataset: Dataset) -> Any:
    """Stored features in the order of a data set, still on disk.

    Raises:
        MissingFile: the folder has no features.
        BadData: an example has no features.
    """
    stored = load_features(folder)
    rows, absent = rows_by_id(dataset.ids, stored.ids)
    if absent:
        raise BadData(
            f"The features in {str(folder)!r} have no example {absent[0]!r} of {dataset.name!r}; allowed: "
            f"features of all its examples. Next: noiseproof extract {dataset.name} --out {folder}"
        )
    return stored.features.rows(rows)


def config_encoder(config: EncoderConfig, dataset: Dataset, store: Path) -> LazyEncoder:
    """The encoder of the configuration, or the default for this kind of examples."""
    default = "features:" if dataset.kind == "features" else "bundled:efficientnet-lite0"
    return LazyEncoder(config.backbone or default, layer=config.layer, store=store)


def shared_space_encoder(config: EncoderConfig, store: Path) -> LazyEncoder:
    """The image half of the image-text model of the configuration, or of the default one."""
    layer = config.layer or SHARED_SPACE
    check_shared_layer(layer)
    return LazyEncoder(config.backbone or USUAL_MODEL, layer=layer, store=store)


def encode(config: EncoderConfig, dataset: Dataset, encoder: LazyEncoder, store: Path) -> StoredFeatures:
    """Features of every example; those that the store has already are not computed again."""
    return encoder.features(
        dataset, store=store, batch_size=config.batch_size, engine=config.engine,
        precision=config.precision, dtype=config.dtype,
    )  # fmt: skip


def checked_features(folder: Path, dataset: Dataset) -> tuple[ShardedMatrix, StoredFeatures]:
    """Stored features in the order of a data set, checked to be of the same examples.

    Raises:
        MissingFile: the folder has no features.
        BadData: an id is missing, or ids agree and contents do not.
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
