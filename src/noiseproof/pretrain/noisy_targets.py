"""Labels or captions of a pre-training, with noise that is drawn here or read from a manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from noiseproof.core.errors import invalid
from noiseproof.core.records import Dataset, LabelledDataset, NoisyCaptions, NoisyLabels
from noiseproof.noise.applied import (
    NONE,
    captions_of_manifest,
    keep_noise,
    labels_of_manifest,
    noise_sha256,
    noise_summary,
)
from noiseproof.noise.captions import swap_captions
from noiseproof.noise.inject import corrupt_dataset
from noiseproof.noise.manifest import NoiseManifest
from noiseproof.noise.spec import CAPTIONS, Noise


@dataclass(frozen=True, eq=False)
class Targets:
    """Labels or captions that a network learns.

    Attributes:
        given: labels or captions, right or wrong; empty where the objective needs none.
        noise: section of the card.
        drawn: noise that was drawn here, to be kept beside the weights.
    """

    given: np.ndarray
    noise: dict[str, Any]
    drawn: NoisyLabels | NoisyCaptions | None = None

    def keep(self, data: Dataset, folder: Path) -> list[str]:
        """Write the manifest of noise that was drawn here, and return the names of its files."""
        return [] if self.drawn is None else keep_noise(data, self.drawn, folder)


def noisy_labels(
    data: LabelledDataset, noise: Noise | None, *, manifest: Path | None, seed: int, is_whole: bool
) -> Targets:
    """The labels to learn from.

    Args:
        data: with clean labels.
        noise: to inject; `None` for none.
        manifest: folder of a noise manifest instead.
        seed: of the draw.
        is_whole: whether `data` has all examples of its source, as a manifest's fingerprint has.

    Raises:
        BadData: no labels, or a manifest of other data or other labels.
        InvalidArgument: noise of captions.
    """
    if manifest is not None:
        return _from_manifest(labels_of_manifest(manifest, data, whole=data if is_whole else None))
    if noise is None:
        return Targets(data.given_labels, NONE)
    return _drawn(data, corrupt_dataset(data, noise, seed=seed))


def noisy_captions(
    data: Dataset,
    captions: Sequence[str] | np.ndarray,
    noise: Noise | None,
    *,
    manifest: Path | None,
    seed: int,
    is_whole: bool,
    has_own: bool = True,
) -> Targets:
    """The captions to learn from; arguments as in `noisy_labels`.

    Args:
        data: of the images.
        captions: one per image.
        noise: of captions.
        manifest: folder of a noise manifest instead.
        seed: of the draw.
        is_whole: as in `noisy_labels`.
        has_own: whether the captions are those of the data, so that a manifest must have the same.

    Raises:
        InvalidArgument: noise of labels.
    """
    if manifest is not None:
        own = captions if has_own else None
        return _from_manifest(captions_of_manifest(manifest, data, own, whole=data if is_whole else None))
    if noise is None:
        return Targets(np.asarray(captions, dtype=object), NONE)
    if noise.kind != CAPTIONS or noise.rate is None:
        raise invalid("noise", str(noise), "captions:RATE, where captions are learned")
    return _drawn(data, swap_captions(captions, rate=noise.rate, seed=seed))


def _from_manifest(manifest: NoiseManifest) -> Targets:
    return Targets(manifest.given, noise_summary(manifest, manifest.sha256))


def _drawn(data: Dataset, noisy: NoisyLabels | NoisyCaptions) -> Targets:
    return Targets(noisy.given, noise_summary(noisy, noise_sha256(data, noisy)), noisy)
