"""Pictures out of focus, behind glass or in motion; lengths are shares of the shorter side."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import scipy  # its parts are loaded when they are first used
from jaxtyping import Float

Pixels = Float[np.ndarray, "h w c"]
_SUBPIXELS = 9  # per pixel and axis, for the edge of a disc
_ZOOM_STEPS = 8


def defocus_blur(pixels: Pixels, radius: float, rng: np.random.Generator) -> Pixels:
    """A lens out of focus spreads every point over a disc."""
    del rng  # every image alike
    return convolve(pixels, disc(radius * min(pixels.shape[:2])))


def glass_blur(pixels: Pixels, strength: tuple[float, float, int], rng: np.random.Generator) -> Pixels:
    """Frosted glass: each pixel shows a random neighbour, between two slight blurs.

    Args:
        strength: width of the blurs, how far a neighbour may be (at least a pixel), and how many times.
    """
    sigma, reach, times = strength
    height, width = pixels.shape[:2]
    side = min(height, width)
    far = max(1, round(reach * side))
    pixels = scipy.ndimage.gaussian_filter(pixels, (sigma * side, sigma * side, 0))
    for _ in range(times):
        down, right = rng.integers(-far, far + 1, (2, height, width))
        rows = np.clip(np.arange(height)[:, None] + down, 0, height - 1)
        columns = np.clip(np.arange(width) + right, 0, width - 1)
        pixels = pixels[rows, columns]
    return scipy.ndimage.gaussian_filter(pixels, (sigma * side, sigma * side, 0))


def motion_blur(pixels: Pixels, length: float, rng: np.random.Generator) -> Pixels:
    """The camera moves steadily along a line, at most 45 degrees from the horizontal."""
    angle = rng.uniform(-math.pi / 4, math.pi / 4)
    return convolve(pixels, line(length * min(pixels.shape[:2]), angle))


def zoom_blur(pixels: Pixels, zoom: float, rng: np.random.Generator) -> Pixels:
    """The camera moves towards the scene: the mean of zooms from 1 to 1 + `zoom`, around the centre."""
    del rng  # every image alike
    height, width = pixels.shape[:2]
    channels = pixels.shape[2]
    down, right = _zooms(height, zoom), _zooms(width, zoom)
    # One product per axis: all zooms of the rows side by side, then their sum over the zoomed columns.
    tall = (down @ pixels.reshape(height, -1)).reshape(-1, height, width, channels)
    wide = tall.transpose(0, 2, 1, 3).reshape(-1, height * channels)
    summed = right.transpose(1, 0, 2).reshape(width, -1) @ wide
    return summed.reshape(width, height, channels).transpose(1, 0, 2) / _ZOOM_STEPS


def convolve(pixels: Pixels, kernel: Float[np.ndarray, "p q"]) -> Pixels:
    """Weighted mean of neighbours, with the picture mirrored beyond its edges; kernel sides are odd."""
    above, left = kernel.shape[0] // 2, kernel.shape[1] // 2
    mirrored = np.pad(pixels, ((above, above), (left, left), (0, 0)), "symmetric")
    return scipy.signal.fftconvolve(mirrored, kernel[..., None], mode="valid", axes=(0, 1))


def disc(radius_px: float) -> Float[np.ndarray, "p p"]:
    """Share of each pixel that lies inside a disc around the middle one; sums to 1."""
    reach = max(0, math.ceil(radius_px - 0.5))
    fine = (np.arange((2 * reach + 1) * _SUBPIXELS) + 0.5) / _SUBPIXELS - reach - 0.5
    inside = (fine[:, None] ** 2 + fine**2 <= radius_px**2).astype(np.float64)
    shares = inside.reshape(2 * reach + 1, _SUBPIXELS, 2 * reach + 1, _SUBPIXELS).sum((1, 3))
    return shares / shares.sum()


def line(length_px: float, angle: float) -> Float[np.ndarray, "p p"]:
    """A line through the middle pixel as weights that sum to 1; the angle is from the horizontal."""
    reach = math.ceil(length_px / 2)
    along = np.linspace(-length_px / 2, length_px / 2, 8 * reach + 1)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    rows, columns = reach - along * math.sin(angle), reach + along * math.cos(angle)
    for row, column in zip(rows, columns, strict=True):
        # Divided among the four pixels around the point, so that any angle is smooth.
        top, left = int(row), int(column)
        for r, share_r in ((top, 1 - row % 1), (top + 1, row % 1)):
            for c, share_c in ((left, 1 - column % 1), (left + 1, column % 1)):
                if r < len(kernel) and c < len(kernel):
                    kernel[r, c] += share_r * share_c
    return kernel / kernel.sum()


def sampled(pixels: Pixels, rows: Float[np.ndarray, "h w"], columns: Float[np.ndarray, "h w"]) -> Pixels:
    """The picture at places between its pixels, bilinear, mirrored beyond its edges."""
    channels = [
        scipy.ndimage.map_coordinates(pixels[..., c], [rows, columns], order=1, mode="reflect")
        for c in range(pixels.shape[2])
    ]
    return np.stack(channels, axis=2)


@lru_cache(maxsize=8)
def _zooms(side: int, zoom: float) -> Float[np.ndarray, "z side side"]:
    """Weights of the pixels along an axis at each step of the zoom; bilinear, each row sums to 1."""
    centre = (side - 1) / 2
    factors = np.linspace(1.0, 1.0 + zoom, _ZOOM_STEPS)[:, None]
    places = centre + (np.arange(side) - centre) / factors
    distance = np.abs(places[..., None] - np.arange(side))
    return np.clip(1 - distance, 0, None)
