"""Random changes of a whole batch of small images at once.

Each augmentation draws its numbers for all rows of a batch first and applies them to any of the rows
afterwards, so processes that share a batch change an image as one process alone would.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import UInt8

Draws = Mapping[str, np.ndarray]


class AbstractAugmentation(ABC):
    """Augmentation that draws its random numbers first and changes pixels afterwards."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, num_rows: int) -> Draws:
        """Random numbers for a batch; the first axis of each array is the row."""

    @abstractmethod
    def apply(self, pixels: UInt8[np.ndarray, "b h w 3"], draws: Draws) -> UInt8[np.ndarray, "b h w 3"]:
        """The changed images."""


@final
@dataclass(frozen=True)
class PadCropFlip(AbstractAugmentation):
    """Shift by up to `padding` pixels with mirrored borders, and flip left to right half of the time.

    Attributes:
        padding: largest shift; 0 leaves images where they are.
        use_flip: off where left and right mean something.

    Source: He et al. 2016, arXiv:1512.03385, Section 4.2.
    Differs: mirrored borders instead of black ones.
    """

    padding: int = 4
    use_flip: bool = True

    def draw(self, rng: np.random.Generator, num_rows: int) -> Draws:
        """Shifts down and right, and which rows are flipped."""
        shifts = rng.integers(0, 2 * self.padding + 1, size=(num_rows, 2))
        is_flipped = rng.random(num_rows) < (0.5 if self.use_flip else 0.0)
        return {"shift": shifts, "flip": is_flipped}

    def apply(self, pixels: UInt8[np.ndarray, "b h w 3"], draws: Draws) -> UInt8[np.ndarray, "b h w 3"]:
        """Take shifted rows and columns of the padded batch."""
        num_rows, height, width, _ = pixels.shape
        margin = (self.padding, self.padding)
        padded = np.pad(pixels, ((0, 0), margin, margin, (0, 0)), mode="symmetric")
        down = draws["shift"][:, :1] + np.arange(height)
        right = draws["shift"][:, 1:] + np.arange(width)
        right[draws["flip"]] = right[draws["flip"], ::-1]
        return padded[np.arange(num_rows)[:, None, None], down[:, :, None], right[:, None, :]]


@final
class Unchanged(AbstractAugmentation):
    """The images as they are."""

    def draw(self, rng: np.random.Generator, num_rows: int) -> Draws:
        """Nothing to draw."""
        return {}

    def apply(self, pixels: UInt8[np.ndarray, "b h w 3"], draws: Draws) -> UInt8[np.ndarray, "b h w 3"]:
        """The batch itself."""
        return pixels
