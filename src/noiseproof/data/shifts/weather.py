"""Snow, fog and the sun."""

from __future__ import annotations

import math

import numpy as np
import scipy  # its parts are loaded when they are first used
from jaxtyping import Float

from noiseproof.data.shifts.blur import Pixels, convolve, line

_GREY = (0.299, 0.587, 0.114)  # how bright red, green and blue look; ITU-R BT.601


def snow(pixels: Pixels, strength: tuple[float, float, float, float], rng: np.random.Generator) -> Pixels:
    """Bright streaks that fall at one slant, over a picture that has turned pale.

    Args:
        strength: share of the places where a flake is; size of a flake and length of its streak, shares of
            the shorter side; how pale the picture is, in [0, 1].
    """
    density, flake, streak, pale = strength
    height, width = pixels.shape[:2]
    side = min(height, width)
    grain = max(1.0, flake * side)
    cells = math.ceil(height / grain), math.ceil(width / grain)
    is_flake = rng.uniform(size=cells) < density
    flakes = _enlarged(is_flake * rng.uniform(0.7, 1.0, cells), (height, width))[..., None]
    angle = rng.uniform(math.pi / 4, 3 * math.pi / 4)
    falling = convolve(flakes, line(streak * side, angle)) * math.sqrt(max(1.0, streak * side / grain))
    white = np.maximum(pixels, (pixels @ np.array(_GREY))[..., None] * 0.75 + 0.35)
    return (1 - pale) * pixels + pale * white + falling


def fog(pixels: Pixels, strength: tuple[float, float], rng: np.random.Generator) -> Pixels:
    """Light from a cloud, added before the whole is dimmed to the old maximum.

    Args:
        strength: how thick the fog is, and how much fainter each finer grain of the cloud is (> 1).
    """
    thickness, decay = strength
    cloud = _cloud((pixels.shape[0], pixels.shape[1]), decay, rng)[..., None]
    top = pixels.max()
    return (pixels + thickness * cloud) * top / (top + thickness)


def brightness(pixels: Pixels, more: float, rng: np.random.Generator) -> Pixels:
    """A larger value (the V of HSV), with hue and saturation kept; black becomes grey."""
    del rng  # every image alike
    value = pixels.max(axis=2, keepdims=True)
    brighter = np.minimum(value + more, 1.0)
    return np.where(value > 0, pixels * (brighter / np.where(value > 0, value, 1.0)), brighter)


def _cloud(shape: tuple[int, int], decay: float, rng: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """Noise of ever finer grain, each `decay` times fainter than the one before; scaled to [0, 1]."""
    cloud = np.zeros(shape)
    cells, height = 2, 1.0
    while cells <= max(shape):
        cloud += height * _enlarged(rng.uniform(-1, 1, (cells + 1, cells + 1)), shape)
        cells, height = 2 * cells, height / decay
    spread = np.ptp(cloud)
    return (cloud - cloud.min()) / spread if spread > 0 else np.full(shape, 0.5)


def _enlarged(grid: Float[np.ndarray, "p q"], shape: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    """Bilinear, from corner to corner."""
    rows, columns = (np.linspace(0, side - 1, n) for side, n in zip(grid.shape, shape, strict=True))
    return scipy.ndimage.map_coordinates(
        grid, np.meshgrid(rows, columns, indexing="ij"), order=1, mode="nearest"
    )
