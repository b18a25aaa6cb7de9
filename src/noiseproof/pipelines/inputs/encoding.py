"""Encoders and features of a data set, as configurations name them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from noiseproof.backbones.image_text.shared_space import SHARED_SPACE, USUAL_MODEL, check_shared_layer
from noiseproof.backbones.services.settings import ServiceSettings
from noiseproof.config.data import EncoderConfig, EncodersConfig, ExtractionConfig
from noiseproof.core.errors import BadData, invalid
from noiseproof.core.records import Dataset, Kind, rows_by_id
from noiseproof.features.lazy_encoder import LazyEncoder
from noiseproof.features.side_by_side import EncodersSideBySide
from noiseproof.features.store import StoredFeatures, load_features

Encoder = LazyEncoder | EncodersSideBySide
_DEFAULTS: dict[Kind, str] = {
    "image": "bundled:efficientnet-lite0",
    "text": "bundled:minilm-l6",
    "features": "features:",
}


def aligned_features(folder: Path, dataset: Dataset) -> StoredFeatures:
    """Stored features in the order of a data set, still on disk.

    Raises:
        MissingFile: the folder has no features.
        BadData: an example has no features.
    """
    stored = load_features(folder, argument="features")
    rows, absent = rows_by_id(dataset.ids, stored.ids)
    if absent:
        raise BadData(
            f"The features in {str(folder)!r} have no example {absent[0]!r} of {dataset.name!r}; allowed: "
            f"features of all its examples. Next: noiseproof extract {dataset.name} --out {folder}"
        )
    return replace(stored, features=stored.features.rows(rows), ids=dataset.ids)


def config_encoder(config: EncoderConfig | EncodersConfig, dataset: Dataset, store: Path) -> Encoder:
    """The encoder of the configuration, several side by side, or the default for this kind of examples."""
    default = _DEFAULTS[dataset.kind]
    service = config.settings_of(ServiceSettings)
    encoders = [
        LazyEncoder(name, layer=config.layer, store=store, service=service, max_tokens=config.max_tokens)
        for name in config.backbones or (default,)
    ]
    return encoders[0] if len(encoders) == 1 else EncodersSideBySide(encoders)


def shared_space_name(config: EncodersConfig) -> str:
    """Name of the image-text model of the configuration, or of the default one.

    Raises:
        InvalidArgument: several encoders are named.
    """
    if len(config.backbone) > 1:
        raise invalid(
            "backbone", list(config.backbone), "one image-text model",
            "Features of several encoders are not compared with text. Next: name one.",
        )  # fmt: skip
    return config.backbone[0] if config.backbone else USUAL_MODEL


def shared_space_encoder(config: EncodersConfig, store: Path) -> LazyEncoder:
    """The image half of the image-text model of the configuration, or of the default one."""
    layer = config.layer or SHARED_SPACE
    check_shared_layer(layer)
    return LazyEncoder(shared_space_name(config), layer=layer, store=store)


def encode(config: ExtractionConfig, dataset: Dataset, encoder: Encoder, store: Path) -> StoredFeatures:
    """Features of every example; those that the store has already are not computed again."""
    return encoder.features(
        dataset, store=store, batch_size=config.batch_size, engine=config.engine,
        precision=config.precision, dtype=config.dtype,
    )  # fmt: skip


def cut_notes(dataset: Dataset, stored: StoredFeatures) -> list[str]:
    """Notes on texts of a whole data set that are longer than an encoder reads."""
    lines = []
    for each in stored.parts or (stored,):
        manifest = each.manifest
        if manifest.num_cut:
            of_encoder = f" ({manifest.components['backbone']})" if stored.parts else ""
            lines.append(
                f"{manifest.num_cut:,} of the {manifest.num_examples:,} texts of {Path(dataset.name).name} "
                f"are longer than the encoder reads{of_encoder}; their ends were cut off."
            )
    return lines


def checked_features(folder: Path, dataset: Dataset) -> StoredFeatures:
    """Stored features in the order of a data set, checked to be of the same examples.

    Raises:
        MissingFile: the folder has no features.
        BadData: an id is missing, or ids agree and contents do not.
    """
    stored = aligned_features(folder, dataset)
    made_of = stored.manifest.components["fingerprint"]
    if stored.manifest.num_examples == len(dataset) and made_of != dataset.fingerprint:
        raise BadData(
            f"The features in {str(folder)!r} are of another data set, {stored.manifest.dataset!r}: the "
            f"ids are those of {dataset.name!r}, the examples are not. Next: noiseproof extract "
            f"{dataset.name} --out with a new folder."
        )
    return stored
