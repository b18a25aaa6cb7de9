"""Noise beside the weights it went into: a manifest in their folder, and what a card says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from noiseproof.noise.manifest import NoiseManifest, manifest_sha256, write_manifest
from noiseproof.records import Dataset, NoisyCaptions, NoisyLabels

FOLDER = "noise"
NONE: dict[str, Any] = {"kind": None, "asked_rate": 0.0, "realised_rate": 0.0, "manifest_sha256": None}


def keep_noise(data: Dataset, noisy: NoisyLabels | NoisyCaptions, out: Path) -> None:
    """Write the manifest into the folder `noise` of `out`.

    Args:
        data: whose labels or captions these are.
        noisy: what was made wrong.
        out: folder of the weights.
    """
    write_manifest(out / FOLDER, noisy, **_of_which_data(data, noisy))


def noise_sha256(data: Dataset, noisy: NoisyLabels | NoisyCaptions) -> str:
    """The hash that the manifest of `keep_noise` has."""
    return manifest_sha256(noisy, **_of_which_data(data, noisy))


def said_of(noise: NoisyLabels | NoisyCaptions | NoiseManifest, sha256: str) -> dict[str, Any]:
    """What a card says of noise.

    Args:
        noise: in the examples that are learned from.
        sha256: of its manifest, which may have more examples.
    """
    if isinstance(noise, NoisyCaptions):
        kind, rate = "captions", noise.rate
    else:
        kind, rate = noise.kind, noise.asked_rate
    return {
        "kind": kind,
        "asked_rate": rate,
        "realised_rate": noise.realised_rate,
        "seed": noise.seed,
        "manifest_sha256": sha256,
    }


def _of_which_data(data: Dataset, noisy: NoisyLabels | NoisyCaptions) -> dict[str, Any]:
    return {
        "ids": data.ids,
        "data_name": data.name,
        "data_fingerprint": data.fingerprint,
        "class_names": data.class_names if isinstance(noisy, NoisyLabels) else (),
    }
