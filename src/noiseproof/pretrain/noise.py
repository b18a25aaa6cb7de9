"""The noise of a pre-training: by kind and rate or from a manifest, and kept beside the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from noiseproof.errors import BadData, InvalidArgument, invalid
from noiseproof.noise.captions import swap_captions
from noiseproof.noise.kept import NONE, keep_noise
from noiseproof.noise.labels import corrupt_labels
from noiseproof.noise.manifest import NoiseManifest, load_manifest
from noiseproof.records import Dataset


@dataclass(frozen=True)
class NoiseRequest:
    """What the user asked for; nothing of it means no noise.

    Attributes:
        kind: of label noise.
        rate: share of the examples, in [0, 1].
        seed: of the draw.
        manifest: folder of a noise manifest instead of kind and rate.
    """

    kind: str | None = None
    rate: float | None = None
    seed: int = 0
    manifest: Path | None = None

    def __post_init__(self) -> None:
        if self.manifest is not None and (self.kind is not None or self.rate is not None):
            raise InvalidArgument(
                "`noise_manifest` came with a kind or a rate of noise; allowed: one of the two, since the "
                "manifest has its own. Next: leave one out."
            )


def noisy_labels(
    data: Dataset, request: NoiseRequest, *, out: Path | None
) -> tuple[np.ndarray, dict[str, Any]]:
    """The labels to learn from, and what the card says of them.

    Args:
        data: with clean labels.
        request: what was asked for.
        out: folder that gets the manifest; `None` writes nothing.

    Raises:
        BadData: no labels, or a manifest of other data.
    """
    clean = clean_labels(data)
    if request.manifest is not None:
        return _from_manifest(data, load_manifest(request.manifest), is_text=False)
    if request.kind is None:
        if request.rate is not None:
            raise invalid("rate", request.rate, "nothing without --label-noise", "Next: add --label-noise.")
        return clean, NONE
    noisy = corrupt_labels(
        clean, kind=request.kind, rate=request.rate, num_classes=len(data.class_names), seed=request.seed
    )
    return noisy.given, keep_noise(data, noisy, out)


def noisy_captions(
    data: Dataset, captions: Sequence[str] | np.ndarray, request: NoiseRequest, *, out: Path | None
) -> tuple[np.ndarray, dict[str, Any]]:
    """The captions to learn from, and what the card says of them; like `noisy_labels`."""
    if request.manifest is not None:
        return _from_manifest(data, load_manifest(request.manifest), is_text=True)
    if not request.rate:
        return np.asarray(captions, dtype=object), NONE
    noisy = swap_captions(captions, rate=request.rate, seed=request.seed)
    return np.asarray(noisy.given, dtype=object), keep_noise(data, noisy, out)


def clean_labels(data: Dataset) -> np.ndarray:
    """The true labels where they are known, else the given ones."""
    labels = data.given_labels if data.clean_labels is None else data.clean_labels
    if labels is None:
        raise BadData(f"{data.name!r} has no labels; allowed: a label per example. Next: name the column.")
    return labels


def _from_manifest(
    data: Dataset, manifest: NoiseManifest, *, is_text: bool
) -> tuple[np.ndarray, dict[str, Any]]:
    if (manifest.kind == "captions") != is_text:
        raise BadData(
            f"The noise manifest holds noise of kind {manifest.kind!r}; allowed: "
            f"{'captions' if is_text else 'a kind of label noise'}. Next: name another manifest."
        )
    given = manifest.given_for(data.ids, data_fingerprint=data.fingerprint)
    return given, {
        "kind": manifest.kind,
        "asked_rate": manifest.asked_rate,
        "realised_rate": manifest.realised_rate,
        "seed": manifest.seed,
        "manifest_sha256": manifest.sha256,
    }
