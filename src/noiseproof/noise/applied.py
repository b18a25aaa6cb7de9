"""A noise manifest put to use: what it has for the examples it was made for, and for no others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from noiseproof.errors import BadData
from noiseproof.noise.manifest import NoiseManifest, load_manifest
from noiseproof.noise.transition import realised_transition
from noiseproof.records import Dataset


def labels_of_manifest(folder: Path, dataset: Dataset, *, whole: Dataset | None) -> NoiseManifest:
    """The part of a manifest that is of these examples, with rate and transition matrix as realised in it.

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
        ours, theirs = (", ".join(names[:12]) for names in (dataset.class_names, manifest.class_names))
        raise BadData(
            f"`noise_manifest` {str(folder)!r} has the classes {theirs}; {dataset.name!r} has {ours}. "
            "Allowed: the same names in the same order. Next: corrupt this data set."
        )
    part = _part(manifest, dataset, whole)
    labels = dataset.given_labels if dataset.clean_labels is None else dataset.clean_labels
    if labels is not None and not (part.kind == "real" and np.array_equal(labels, part.given)):
        names = np.array(dataset.class_names, object)
        _check_same(folder, dataset, names[labels], names[part.clean], "label")
    return replace(part, transition=realised_transition(part.clean, part.given, len(dataset.class_names)))


def captions_of_manifest(
    folder: Path, dataset: Dataset, captions: Sequence[str] | np.ndarray | None, *, whole: Dataset | None
) -> NoiseManifest:
    """The same for captions.

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
            "captions. Next: noiseproof corrupt PAIRS --kind captions."
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


def _check_same(folder: Path, dataset: Dataset, ours: np.ndarray, theirs: np.ndarray, what: str) -> None:
    differ = np.flatnonzero(ours != theirs)
    if len(differ):
        row = int(differ[0])
        raise BadData(
            f"`noise_manifest` {str(folder)!r} was made from other {what}s: {str(dataset.ids[row])!r} had "
            f"{theirs[row]!r}, in {dataset.name!r} it has {ours[row]!r} ({len(differ)} of {len(ours)} "
            f"differ). Allowed: the same {what}s. Next: name the column it was made from with `{what}`, or "
            "corrupt this one."
        )


def _stripped(texts: Sequence[str] | np.ndarray) -> np.ndarray:
    """Shards as data sets have their captions without the spaces and line ends around them."""
    return np.array([str(text).strip() for text in texts], object)
