"""Corruptions by sensors, cameras, editors and file formats."""

from __future__ import annotations

import io

import numpy as np
import scipy  # its parts are loaded when they are first used
from PIL import Image

from noiseproof.data.shifts.blur import Pixels, sampled


def gaussian_noise(pixels: Pixels, std: float, rng: np.random.Generator) -> Pixels:
    """Noise of dim light: x + N(0, std^2) in every channel."""
    return pixels + rng.normal(0.0, std, pixels.shape)


def shot_noise(pixels: Pixels, photons: float, rng: np.random.Generator) -> Pixels:
    """Light comes in quanta: Poisson(x photons) / photons; white is `photons` quanta."""
    return rng.poisson(pixels * photons) / photons


def impulse_noise(pixels: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    """Broken cells: a share of the values becomes 0 or 1, either with the same chance."""
    # One draw decides both, so that a higher severity keeps every broken cell of a lower one.
    draw = rng.uniform(size=pixels.shape)
    black_or_white = rng.integers(0, 2, pixels.shape).astype(pixels.dtype)
    return np.where(draw < share, black_or_white, pixels)


def contrast(pixels: Pixels, kept: float, rng: np.random.Generator) -> Pixels:
    """Every channel drawn towards its own mean; `kept` of the distance stays."""
    del rng  # every image alike
    mean = pixels.mean(axis=(0, 1))
    return mean + kept * (pixels - mean)


def saturate(pixels: Pixels, strength: tuple[float, float], rng: np.random.Generator) -> Pixels:
    """Another saturation (the S of HSV), S -> factor S + more, with hue and value kept; grey stays grey."""
    del rng  # every image alike
    factor, more = strength
    value = pixels.max(axis=2, keepdims=True)
    below = value - pixels
    saturation = below.max(axis=2, keepdims=True) / np.where(value > 0, value, 1.0)
    new = np.minimum(factor * saturation + more, 1.0)
    return value - below * (new / np.where(saturation > 0, saturation, 1.0))


def elastic_transform(pixels: Pixels, strength: tuple[float, float], rng: np.random.Generator) -> Pixels:
    """The picture on a rubber sheet that was pulled here and there.

    Args:
        strength: root mean square of the shift along an axis, and the width over which shifts are alike;
            shares of the shorter side.
    """
    shift, width = strength
    height, side = pixels.shape[0], min(pixels.shape[:2])
    smooth = (0, width * side, width * side)
    pulls = scipy.ndimage.gaussian_filter(rng.normal(size=(2, height, pixels.shape[1])), smooth)
    pulls *= shift * side / max(np.sqrt(np.mean(pulls**2)), np.finfo(np.float64).tiny)
    rows = np.arange(height)[:, None] + pulls[0]
    columns = np.arange(pixels.shape[1]) + pulls[1]
    return sampled(pixels, rows, columns)


def pixelate(pixels: Pixels, kept: float, rng: np.random.Generator) -> Pixels:
    """Made smaller, to `kept` of its sides, and larger again without smoothing."""
    del rng  # every image alike
    image = to_image(pixels)
    width, height = (max(1, int(kept * side)) for side in image.size)
    coarse = image.resize((width, height), Image.Resampling.BOX).resize(image.size, Image.Resampling.NEAREST)
    return to_pixels(coarse)


def jpeg_compression(pixels: Pixels, quality: int, rng: np.random.Generator) -> Pixels:
    """Through a JPEG file of this quality, in [1, 95]."""
    del rng  # every image alike
    buffer = io.BytesIO()
    to_image(pixels).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as image:
        return to_pixels(image)


def to_pixels(image: Image.Image) -> Pixels:
    """Values in [0, 1]."""
    return np.asarray(image, np.float64) / 255


def to_image(pixels: Pixels) -> Image.Image:
    """Eight bits per channel; values outside [0, 1] are clipped."""
    return Image.fromarray(np.clip(np.rint(pixels * 255), 0, 255).astype(np.uint8))
