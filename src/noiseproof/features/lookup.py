"""Find finished features in a store by the identity of their encoder; nothing here loads PyTorch."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from noiseproof.backbones.base import EncoderIdentity
from noiseproof.core.errors import invalid
from noiseproof.core.records import Dataset
from noiseproof.core.registry import unknown_name
from noiseproof.features.resume import finished, key_folder
from noiseproof.features.store import SCHEMA, StoredFeatures

DTYPES = ("float32", "float16")


def find_features(
    dataset: Dataset, encoder: EncoderIdentity, *, store: str | Path, engine: str = "auto",
    precision: str = "float32", dtype: str = "float32", quiet: bool = False,
) -> StoredFeatures | None:  # fmt: skip
    """The features that an earlier extraction finished, after their checksums were compared.

    Args:
        engine: the wanted one; a warning names another that made the features.

    Returns:
        `None` where a shard is missing or damaged, too.
    """
    components = key_components(dataset, encoder, precision=precision, dtype=dtype)
    stored = finished(key_folder(Path(store), components), components)
    if stored is not None and not quiet:
        _warn_of_other_engine(stored, engine)
    return stored


def key_components(
    dataset: Dataset, encoder: EncoderIdentity, *, precision: str, dtype: str
) -> dict[str, Any]:
    """Everything features depend on. Labels are not among it, so relabelling never goes stale."""
    return {
        "schema": SCHEMA,
        "fingerprint": dataset.fingerprint,
        "transform": encoder.transform,
        "backbone": encoder.name,
        "weights_hash": encoder.weights_hash,
        "layer": encoder.layer,
        "precision": precision,
        "dtype": dtype,
    }


def check_extraction(dataset: Dataset, encoder: EncoderIdentity, *, dtype: str, **counts: int | None) -> None:
    """Refuse options of an extraction that make no sense, and an encoder of other examples.

    Args:
        counts: options that are whole numbers from 1, by name; `None` for their default.
    """
    if encoder.kind != dataset.kind:
        raise invalid(
            "backbone", encoder.name, f"one that reads {dataset.kind} examples, like {dataset.name!r}",
            f"This one reads {encoder.kind} examples.",
        )  # fmt: skip
    for name, value in counts.items():
        if value is not None and value < 1:
            raise invalid(name, value, "a whole number from 1")
    if dtype not in DTYPES:
        raise unknown_name("dtype", dtype, DTYPES)


def _warn_of_other_engine(stored: StoredFeatures, engine: str) -> None:
    """Warn if another engine than the requested one made the features."""
    made_by = stored.manifest.engine
    if engine in ("auto", made_by) or made_by == "backbone":
        return
    agreement = stored.manifest.features_agree_within
    checked = f", checked to agree with PyTorch within {agreement:.1e}," if agreement is not None else ""
    warnings.warn(
        f"`engine` is {engine!r}, but the features of {stored.manifest.dataset!r} were made before by "
        f"{made_by}{checked} and are used. Next, only if you want them made again: delete "
        f"{str(stored.path)!r}.",
        stacklevel=4,
    )
