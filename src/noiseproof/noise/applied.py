"""Noise manifests applied to the examples they were made for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from noiseproof.core.errors import BadData
from noiseproof.core.records import Dataset, LabelledDataset, NoisyCaptions, NoisyLabels
from noiseproof.noise.manifest import (
    NoiseManifest,
    load_manifest,
    manifest_files,
    manifest_sha256,
    write_manifest,
)
from noiseproof.noise.transition import realised_transition


def labels_of_manifest(folder: Path, dataset: LabelledDataset, *, whole: Dataset | None) -> NoiseManifest:
    """Labels of a manifest for these examples, with the rate and transition matrix realised in them.

    Args:
        folder: what 'noiseproof corrupt' wrote.
        dataset: some or all examples of the one it was made for, with the labels it was made from. Noise of
            kind "real" is made from two columns; labels of either will do.
        whole: that one, where it was opened in full: its fingerprint is compared.

    Raises:
        MissingFile: there is no manifest.
        DamagedFile: its hash does not fit its data.
        BadData: it was made for other data or other labels, for captions, or for classes of other names.
    """
    manifest = load_manifest(folder)
    if manifest.transition is None:
        raise BadData(
            f"`noise_manifest` is {str(folder)!r}, which is of captions; allowed: one of labels. Next: train "
            "on the copy of the pairs beside it."
        )
    if manifest.class_names and manifest.class_names != dataset.class_names:
        own, made_for = (", ".join(names[:12]) for names in (dataset.class_names, manifest.class_names))
        raise BadData(
            f"`noise_manifest` {str(folder)!r} has the classes {made_for}; {dataset.name!r} has {own}. "
            "Allowed: the same names in the same order. Next: corrupt this data set."
        )
    part = _part(manifest, dataset, whole)
    labels = dataset.best_labels
    if not (part.kind == "real" and np.array_equal(labels, part.given)):
        names = np.array(dataset.class_names, object)
        _check_same(folder, dataset, names[labels], names[part.clean], "label")
    return replace(part, transition=realised_transition(part.clean, part.given, len(dataset.class_names)))


def captions_of_manifest(
    folder: Path, dataset: Dataset, captions: Sequence[str] | np.ndarray | None, *, whole: Dataset | None
) -> NoiseManifest:
    """Captions of a manifest for these examples, see `labels_of_manifest`.

    Args:
        folder: what 'noiseproof corrupt' wrote.
        dataset: as in `labels_of_manifest`, like `whole`.
        captions: of the examples, as in the pairs the manifest was made from or in the noisy copy of them;
            `None` where the examples have none of their own.
    """
    manifest = load_manifest(folder)
    if manifest.transition is not None:
        raise BadData(
            f"`noise_manifest` is {str(folder)!r}, which is of labels ({manifest.kind}); allowed: one of "
            "captions. Next: noiseproof corrupt PAIRS --noise captions:RATE --out FOLDER."
        )
    part = _part(manifest, dataset, whole)
    if captions is not None:
        ours, before, after = (_stripped(texts) for texts in (captions, part.clean, part.given))
        if not np.array_equal(ours, after):
            _check_same(folder, dataset, ours, before, "caption")
    return part


def _part(manifest: NoiseManifest, dataset: Dataset, whole: Dataset | None) -> NoiseManifest:
    rows = manifest.rows(dataset.ids, None if whole is None else whole.fingerprint)
    flipped = manifest.flipped[rows]
    return replace(
        manifest,
        ids=manifest.ids[rows],
        given=manifest.given[rows],
        clean=manifest.clean[rows],
        flipped=flipped,
        realised_rate=float(flipped.mean()),
    )


def _check_same(folder: Path, dataset: Dataset, own: np.ndarray, made_from: np.ndarray, what: str) -> None:
    differ = np.flatnonzero(own != made_from)
    if len(differ):
        row = int(differ[0])
        raise BadData(
            f"`noise_manifest` {str(folder)!r} was made from other {what}s: {str(dataset.ids[row])!r} had "
            f"{made_from[row]!r}, in {dataset.name!r} it has {own[row]!r} ({len(differ)} of {len(own)} "
            f"differ). Allowed: the same {what}s. Next: name the column it was made from with `{what}`, or "
            "corrupt this one."
        )


def _stripped(texts: Sequence[str] | np.ndarray) -> np.ndarray:
    """Shards as data sets have their captions without the spaces and line ends around them."""
    return np.array([str(text).strip() for text in texts], object)


FOLDER = "noise"
NONE: dict[str, Any] = {"kind": None, "asked_rate": 0.0, "realised_rate": 0.0, "manifest_sha256": None}


def keep_noise(data: Dataset, noisy: NoisyLabels | NoisyCaptions, out: Path) -> list[str]:
    """Write the manifest into the folder `noise` of `out`.

    Returns:
        Names of the files, relative to `out`.
    """
    digest = write_manifest(out / FOLDER, noisy, **_data_identity(data, noisy))
    return [f"{FOLDER}/{name}" for name in manifest_files(digest)]


def noise_sha256(data: Dataset, noisy: NoisyLabels | NoisyCaptions) -> str:
    """Hash of the manifest that `keep_noise` writes."""
    return manifest_sha256(noisy, **_data_identity(data, noisy))


def noise_summary(noise: NoisyLabels | NoisyCaptions | NoiseManifest, sha256: str) -> dict[str, Any]:
    """Noise in a card: kind, rates, seed and hash of the manifest.

    Args:
        noise: in the examples that are learned from.
        sha256: of its manifest, which may have more examples.
    """
    return {
        "kind": noise.kind,
        "asked_rate": noise.asked_rate,
        "realised_rate": noise.realised_rate,
        "seed": noise.seed,
        "manifest_sha256": sha256,
    }


def _data_identity(data: Dataset, noisy: NoisyLabels | NoisyCaptions) -> dict[str, Any]:
    return {
        "ids": data.ids,
        "data_name": data.name,
        "data_fingerprint": data.fingerprint,
        "class_names": data.class_names if isinstance(noisy, NoisyLabels) else (),
    }
