"""Noise beside the weights it went into: a manifest in their folder, and what a card says of it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from noiseproof.noise.manifest import write_manifest
from noiseproof.records import Dataset, NoisyCaptions, NoisyLabels

FOLDER = "noise"
NONE: dict[str, Any] = {"kind": None, "asked_rate": 0.0, "realised_rate": 0.0, "manifest_sha256": None}


def keep_noise(data: Dataset, noisy: NoisyLabels | NoisyCaptions, out: Path | None) -> dict[str, Any]:
    """Write the manifest, or only learn its hash, and say what it says.

    Args:
        data: whose labels or captions these are.
        noisy: what was made wrong.
        out: its folder `noise` gets the manifest; `None` writes nothing.
    """
    with tempfile.TemporaryDirectory() as nowhere:
        digest = write_manifest(
            nowhere if out is None else out / FOLDER, noisy, ids=data.ids, data_name=data.name,
            data_fingerprint=data.fingerprint, class_names=data.class_names,
        )  # fmt: skip
    return {
        "kind": getattr(noisy, "kind", "captions"),
        "asked_rate": noisy.rate if isinstance(noisy, NoisyCaptions) else noisy.asked_rate,
        "realised_rate": noisy.realised_rate,
        "seed": noisy.seed,
        "manifest_sha256": digest,
    }
