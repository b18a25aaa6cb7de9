"""The corruptions by name, with their five severities for small and for large pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from noiseproof.data.shifts.blur import Pixels, defocus_blur, glass_blur, motion_blur, zoom_blur
from noiseproof.data.shifts.digital import (
    contrast,
    elastic_transform,
    gaussian_noise,
    impulse_noise,
    jpeg_compression,
    pixelate,
    saturate,
    shot_noise,
    to_image,
    to_pixels,
)
from noiseproof.data.shifts.weather import brightness, fog, snow

SEVERITIES = (1, 2, 3, 4, 5)
# Pictures with a shorter side below this take the mild strengths, which leave 32 x 32 pixels recognisable.
SMALL_BELOW_PX = 96
# Larger pictures are reduced to this first: noise of single pixels vanishes when an encoder shrinks them.
LARGEST_PX = 256
_SMALL, _LARGE = 32, 224  # shorter sides for which lengths are given below


@dataclass(frozen=True)
class Corruption:
    """One kind of corruption with its strengths.

    Attributes:
        change: (picture, strength, rng) -> picture, values in [0, 1] before, of any size after.
        small: strengths of severities 1 to 5 for small pictures.
        large: the same for others.
    """

    change: Callable[[Pixels, Any, np.random.Generator], Pixels]
    small: tuple[Any, ...]
    large: tuple[Any, ...]

    def strength(self, severity: int, short_px: int) -> Any:
        """Strength for an image whose shorter side is `short_px`."""
        return (self.small if short_px < SMALL_BELOW_PX else self.large)[severity - 1]


def _shares(px: int, *lengths: float) -> tuple[float, ...]:
    return tuple(length / px for length in lengths)


# Kinds and strengths after Hendrycks & Dietterich 2019, arXiv:1903.12261, whose sets CIFAR-10-C (32 px) and
# ImageNet-C (224 px) use two scales as well. The code is our own, so the numbers of the published sets are
# not to be expected: defocus is an exact disc, motion is steady, glass draws neighbours, fog and snow come
# from other clouds. Frost needs photographs of ice and is left out; saturate, one of their spare kinds,
# takes its place.
CORRUPTIONS: dict[str, Corruption] = {
    "gaussian_noise": Corruption(
        gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10), (0.08, 0.12, 0.18, 0.26, 0.38)
    ),
    "shot_noise": Corruption(shot_noise, (500.0, 250.0, 100.0, 75.0, 50.0), (60.0, 25.0, 12.0, 5.0, 3.0)),
    "impulse_noise": Corruption(
        impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07), (0.03, 0.06, 0.09, 0.17, 0.27)
    ),
    "defocus_blur": Corruption(
        defocus_blur, _shares(_SMALL, 0.7, 0.8, 0.95, 1.2, 1.6), _shares(_LARGE, 3.0, 4.0, 6.0, 8.0, 10.0)
    ),
    "glass_blur": Corruption(
        glass_blur,
        tuple((s / _SMALL, 1 / _SMALL, n) for s, n in ((0.05, 1), (0.25, 1), (0.4, 1), (0.3, 2), (0.4, 2))),
        tuple(
            (s / _LARGE, r / _LARGE, n)
            for s, r, n in ((0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2))
        ),
    ),
    "motion_blur": Corruption(
        motion_blur, _shares(_SMALL, 2.0, 2.75, 3.5, 4.25, 5.5), _shares(_LARGE, 6.0, 10.0, 15.0, 20.0, 26.0)
    ),
    "zoom_blur": Corruption(zoom_blur, (0.06, 0.11, 0.16, 0.21, 0.26), (0.11, 0.16, 0.21, 0.26, 0.31)),
    "snow": Corruption(
        snow,
        tuple(
            (d, 1 / _SMALL, s / _SMALL, p)
            for d, s, p in ((0.01, 3, 0.1), (0.015, 3, 0.2), (0.025, 4, 0.2), (0.035, 4, 0.3), (0.05, 5, 0.4))
        ),
        tuple(
            (d, 3 / _LARGE, s / _LARGE, p)
            for d, s, p in (
                (0.01, 12, 0.2),
                (0.02, 14, 0.3),
                (0.03, 16, 0.3),
                (0.04, 18, 0.4),
                (0.05, 20, 0.5),
            )
        ),
    ),
    "fog": Corruption(
        fog,
        ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75)),
        ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4)),
    ),
    "brightness": Corruption(brightness, (0.05, 0.10, 0.15, 0.20, 0.30), (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": Corruption(contrast, (0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05)),
    "saturate": Corruption(
        saturate,
        ((0.3, 0.0), (0.1, 0.0), (1.5, 0.0), (2.0, 0.1), (2.5, 0.2)),
        ((0.3, 0.0), (0.1, 0.0), (2.0, 0.0), (5.0, 0.1), (20.0, 0.2)),
    ),
    "elastic_transform": Corruption(
        elastic_transform,
        tuple(
            (s / _SMALL, w / _SMALL) for s, w in ((0.4, 2.5), (0.6, 2.5), (0.8, 2.2), (1.0, 2.0), (1.3, 1.8))
        ),
        tuple((s / _LARGE, w / _LARGE) for s, w in ((3, 14), (4, 12), (5, 10), (6, 9), (7, 8))),
    ),
    "pixelate": Corruption(pixelate, (0.95, 0.9, 0.85, 0.75, 0.65), (0.6, 0.5, 0.4, 0.3, 0.25)),
    "jpeg_compression": Corruption(jpeg_compression, (80, 65, 58, 50, 40), (25, 18, 15, 10, 7)),
}


def corrupted_image(image: Image.Image, kind: str, severity: int, rng: np.random.Generator) -> Image.Image:
    """An RGB picture under one corruption; pictures larger than `LARGEST_PX` come out at that size.

    Args:
        image: mode RGB.
        kind: a key of `CORRUPTIONS`.
        severity: 1 (mild) to 5.
        rng: a fresh one in the same state makes the same picture.
    """
    short = min(image.size)
    if short > LARGEST_PX:
        image = ImageOps.scale(image, LARGEST_PX / short, Image.Resampling.BICUBIC)
    corruption = CORRUPTIONS[kind]
    return to_image(corruption.change(to_pixels(image), corruption.strength(severity, short), rng))
