"""The noise of a pre-training: by kind and rate or from a manifest, and kept beside the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from noiseproof.core.errors import InvalidArgument, invalid
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
from noiseproof.noise.labels import KINDS, corrupt_labels, options_of
from noiseproof.noise.manifest import NoiseManifest


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


@dataclass(frozen=True, eq=False)
class Targets:
    """What a network learns from.

    Attributes:
        given: labels or captions, right or wrong; empty where the objective needs none.
        noise: what the card says of them.
        drawn: the noise, if it was drawn here and is to be kept.
    """

    given: np.ndarray
    noise: dict[str, Any]
    drawn: NoisyLabels | NoisyCaptions | None = None

    def keep(self, data: Dataset, folder: Path) -> None:
        """Write the manifest of noise that was drawn here into a folder in this one."""
        if self.drawn is not None:
            keep_noise(data, self.drawn, folder)


def noisy_labels(data: LabelledDataset, request: NoiseRequest, *, is_whole: bool) -> Targets:
    """The labels to learn from.

    Args:
        data: with clean labels.
        request: what was asked for.
        is_whole: whether `data` has all examples of its source, as a manifest's fingerprint has.

    Raises:
        BadData: a manifest of other data or other labels.
        InvalidArgument: a kind that needs more than a rate, or a rate without a kind.
    """
    if request.manifest is not None:
        return _from_manifest(labels_of_manifest(request.manifest, data, whole=data if is_whole else None))
    clean = data.best_labels
    if request.kind is None:
        if request.rate is not None:
            raise invalid("rate", request.rate, "nothing without --label-noise", "Next: add --label-noise.")
        return Targets(clean, NONE)
    if set(options_of(request.kind)) != {"rate"}:
        simple = [kind for kind in KINDS.names if set(options_of(kind)) == {"rate"}]
        raise invalid(
            "label_noise", request.kind, f"a kind that needs a rate alone ({', '.join(simple)})",
            f"Next: 'noiseproof corrupt {data.name} --kind {request.kind} --out noise/', then "
            "--noise-manifest noise/ here.",
        )  # fmt: skip
    noisy = corrupt_labels(
        clean, kind=request.kind, rate=request.rate, num_classes=len(data.class_names), seed=request.seed
    )
    return _drawn(data, noisy)


def noisy_captions(
    data: Dataset,
    captions: Sequence[str] | np.ndarray,
    request: NoiseRequest,
    *,
    is_whole: bool,
    has_own: bool = True,
) -> Targets:
    """The captions to learn from; like `noisy_labels`.

    Args:
        data: of the images.
        captions: one per image.
        request: what was asked for.
        is_whole: as in `noisy_labels`.
        has_own: whether the captions belong to the data, and those of a manifest must be the same.
    """
    if request.manifest is not None:
        own = captions if has_own else None
        return _from_manifest(
            captions_of_manifest(request.manifest, data, own, whole=data if is_whole else None)
        )
    if not request.rate:
        return Targets(np.asarray(captions, dtype=object), NONE)
    return _drawn(data, swap_captions(captions, rate=request.rate, seed=request.seed))


def _from_manifest(manifest: NoiseManifest) -> Targets:
    return Targets(manifest.given, noise_summary(manifest, manifest.sha256))


def _drawn(data: Dataset, noisy: NoisyLabels | NoisyCaptions) -> Targets:
    return Targets(noisy.given, noise_summary(noisy, noise_sha256(data, noisy)), noisy)
