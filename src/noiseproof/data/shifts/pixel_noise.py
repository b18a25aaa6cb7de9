"""Noise of the sensor."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

Pixels = Float[np.ndarray, "h w c"]


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
