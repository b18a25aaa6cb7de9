"""SimCLR's augmentations, a batch at a time: crop and resize, flip, colour jitter, grey.

Source: Chen, Kornblith et al. 2020, arXiv:2002.05709v3, Appendix A and B.9 (CIFAR-10: no blur).
Differs: the order of the four colour changes is drawn once per batch, not per image; bicubic interpolation
uses 4 x 4 pixels without a filter against aliasing (a crop is only ever enlarged).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from noiseproof.training.augment import AbstractAugmentation, Draws

_ASPECT = (3 / 4, 4 / 3)
_TRIES = 10
_GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601
_JITTER_RATE, _GREY_RATE = 0.8, 0.2


@final
@dataclass(frozen=True)
class ColourChanges(AbstractAugmentation):
    """The part of SimCLR's augmentations that is no geometry: jitter and grey.

    Attributes:
        strength: s; brightness, contrast and saturation change by up to 0.8 s, hue by 0.2 s of the circle.
    """

    strength: float = 0.5

    def draw(self, rng: np.random.Generator, num_rows: int) -> Draws:
        """Colour factors, and who is jittered or grey."""
        span = 0.8 * self.strength
        return {
            "factors": rng.uniform(max(0.0, 1 - span), 1 + span, size=(num_rows, 3)),
            "hue": rng.uniform(-0.2 * self.strength, 0.2 * self.strength, size=num_rows),
            "jitter": rng.random(num_rows) < _JITTER_RATE,
            "grey": rng.random(num_rows) < _GREY_RATE,
            "order": np.tile(rng.permutation(4), (num_rows, 1)),
        }

    def apply(self, pixels: UInt8[np.ndarray, "b h w 3"], draws: Draws) -> UInt8[np.ndarray, "b h w 3"]:
        """Jitter, then grey; rounded back to bytes."""
        return _as_bytes(_recoloured(_as_shares(pixels), draws))


@final
@dataclass(frozen=True)
class SimCLRViews(AbstractAugmentation):
    """One random view of each image.

    Attributes:
        least_scale: least share of the area that a crop keeps, in (0, 1].
        strength: as in `ColourChanges`.
        use_flip: off where left and right mean something.
    """

    least_scale: float = 0.08
    strength: float = 0.5
    use_flip: bool = True

    def draw(self, rng: np.random.Generator, num_rows: int) -> Draws:
        """Boxes in [0, 1], flips, and those of `ColourChanges`."""
        return {
            "box": _boxes(rng, num_rows, self.least_scale),
            "flip": rng.random(num_rows) < (0.5 if self.use_flip else 0.0),
            **ColourChanges(self.strength).draw(rng, num_rows),
        }

    def apply(self, pixels: UInt8[np.ndarray, "b h w 3"], draws: Draws) -> UInt8[np.ndarray, "b h w 3"]:
        """Crop, flip, jitter, grey, in this order; rounded back to bytes."""
        box, is_flipped = torch.from_numpy(draws["box"]).float(), torch.from_numpy(draws["flip"])
        return _as_bytes(_recoloured(_cropped(_as_shares(pixels), box, is_flipped), draws))


def _as_shares(pixels: UInt8[np.ndarray, "b h w 3"]) -> Float[Tensor, "b 3 h w"]:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def _as_bytes(images: Float[Tensor, "b 3 h w"]) -> UInt8[np.ndarray, "b h w 3"]:
    return (images * 255).round_().byte().permute(0, 2, 3, 1).contiguous().numpy()


def _recoloured(images: Float[Tensor, "b 3 h w"], draws: Draws) -> Float[Tensor, "b 3 h w"]:
    images = _jittered(images, draws)
    is_grey = torch.from_numpy(draws["grey"])
    images[is_grey] = grey(images[is_grey]).expand(-1, 3, -1, -1)
    return images


def _boxes(rng: np.random.Generator, num_rows: int, least_scale: float) -> Float[np.ndarray, "b 4"]:
    """Left, top, width, height of random crops; the first of ten tries that fits, else the whole image."""
    area = rng.uniform(least_scale, 1.0, size=(num_rows, _TRIES))
    aspect = np.exp(rng.uniform(math.log(_ASPECT[0]), math.log(_ASPECT[1]), size=(num_rows, _TRIES)))
    width, height = np.sqrt(area * aspect), np.sqrt(area / aspect)
    fits = (width <= 1) & (height <= 1)
    first = fits.argmax(axis=1)[:, None]
    has_fit = fits.any(axis=1)
    width = np.where(has_fit, np.take_along_axis(width, first, 1)[:, 0], 1.0)
    height = np.where(has_fit, np.take_along_axis(height, first, 1)[:, 0], 1.0)
    place = rng.random((num_rows, 2))
    return np.stack([place[:, 0] * (1 - width), place[:, 1] * (1 - height), width, height], axis=1)


def _cropped(
    images: Float[Tensor, "b 3 h w"], box: Float[Tensor, "b 4"], is_flipped: Tensor
) -> Float[Tensor, "b 3 h w"]:
    """Crops enlarged to the whole image, bicubic; mirrored where `is_flipped`."""
    left, top, width, height = box.unbind(dim=1)
    # grid_sample counts from -1 (left edge) to 1 (right edge).
    shift_x, shift_y = 2 * left + width - 1, 2 * top + height - 1
    scale_x = torch.where(is_flipped, -width, width)
    zero = torch.zeros_like(width)
    rows = [torch.stack([scale_x, zero, shift_x], 1), torch.stack([zero, height, shift_y], 1)]
    grid = nn.functional.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    cut = nn.functional.grid_sample(images, grid, mode="bicubic", padding_mode="border", align_corners=False)
    return cut.clamp_(0, 1)


def _jittered(images: Float[Tensor, "b 3 h w"], draws: Draws) -> Float[Tensor, "b 3 h w"]:
    rows = torch.from_numpy(np.flatnonzero(draws["jitter"]))
    if not len(rows):
        return images
    chosen = images[rows]
    factors = torch.from_numpy(draws["factors"]).float()[rows]
    hue = torch.from_numpy(draws["hue"]).float()[rows]
    steps: list[Callable[[Tensor], Tensor]] = [
        lambda each: _blended(each, torch.zeros_like(each[:, :1]), factors[:, 0]),  # brightness
        lambda each: _blended(each, grey(each).mean((2, 3), keepdim=True), factors[:, 1]),  # contrast
        lambda each: _blended(each, grey(each), factors[:, 2]),  # saturation
        lambda each: turn_hue(each, hue),
    ]
    for number in draws["order"][0]:
        chosen = steps[number](chosen)
    images[rows] = chosen
    return images


def _blended(
    images: Float[Tensor, "b 3 h w"], other: Tensor, factor: Float[Tensor, " b"]
) -> Float[Tensor, "b 3 h w"]:
    part = factor[:, None, None, None]
    return (images * part + other * (1 - part)).clamp(0, 1)


def grey(images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Luma of each pixel."""
    weights = torch.tensor(_GREY, dtype=images.dtype, device=images.device)
    return (images * weights[:, None, None]).sum(dim=1, keepdim=True)


def turn_hue(images: Float[Tensor, "b 3 h w"], turns: Float[Tensor, " b"]) -> Float[Tensor, "b 3 h w"]:
    """Hue moved around the circle of HSV, value and saturation kept.

    Args:
        images: RGB in [0, 1].
        turns: per image, in circles; 1 is all the way round.
    """
    largest, smallest = images.amax(dim=1), images.amin(dim=1)
    span = largest - smallest
    safe = torch.where(span > 0, span, torch.ones_like(span))
    red, green, blue = images.unbind(dim=1)
    sixth = torch.where(
        largest == red,
        (green - blue) / safe,
        torch.where(largest == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    sixth = sixth + 6 * turns[:, None, None]
    # Of the closed form: a channel is V - C * clamp(min(k, 4 - k), 0, 1) with k = (n + 6 H) mod 6.
    channels = []
    for offset in (5.0, 3.0, 1.0):
        place = torch.remainder(sixth + offset, 6.0)
        channels.append(largest - span * torch.minimum(place, 4 - place).clamp(0, 1))
    return torch.stack(channels, dim=1)
