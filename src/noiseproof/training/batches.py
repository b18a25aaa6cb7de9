"""Batches by step number, from an array in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from noiseproof.core.rng import stream
from noiseproof.training.augment import AbstractAugmentation
from noiseproof.training.order import AbstractOrder, Share

Batch = Mapping[str, Tensor]


class AbstractBatches(ABC):
    """A source of batches for the training loop.

    Attributes:
        order: which rows a step sees.
    """

    order: AbstractOrder

    @abstractmethod
    def iterate(self, steps: range, share: Share) -> Iterator[Batch]:
        """This process's share of the batches of these steps.

        What a batch holds depends on the step and the seed only, never on where the iteration began.
        """


@final
@dataclass(frozen=True)
class Normaliser:
    """Bytes -> what a network takes: (x / 255 - mean) / std per channel.

    Attributes:
        mean: of pixels in [0, 1].
        std: of pixels in [0, 1].
    """

    mean: Sequence[float]
    std: Sequence[float]

    def __call__(self, pixels: UInt8[np.ndarray, "b h w 3"]) -> Float[Tensor, "b 3 h w"]:
        """Channels last in memory, as convolutions on a CPU like it."""
        scale = 1 / (255 * torch.tensor(self.std))
        shift = -torch.tensor(self.mean) / torch.tensor(self.std)
        return torch.from_numpy(pixels).float().mul_(scale).add_(shift).permute(0, 3, 1, 2)


@final
@dataclass(frozen=True)
class MatrixBatches(AbstractBatches):
    """Rows of a matrix, such as features that were computed once.

    Attributes:
        matrix: (n, d), memory-mapped or not; the entry `images` of a batch.
        order: which rows a step sees.
        columns: as in `ArrayBatches`.
    """

    matrix: Any
    order: AbstractOrder
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)

    def iterate(self, steps: range, share: Share) -> Iterator[Batch]:
        """See `AbstractBatches`."""
        for step in steps:
            rows = self.order.rows(step)
            mine = rows[share.of(len(rows))]
            batch = {name: torch.from_numpy(values[mine]) for name, values in self.columns.items()}
            yield batch | {"images": torch.from_numpy(np.asarray(self.matrix[mine], np.float32))}


@final
@dataclass(frozen=True)
class ArrayBatches(AbstractBatches):
    """Small images that all fit into memory, augmented a batch at a time.

    Attributes:
        pixels: n images of one size.
        order: which rows a step sees.
        augmentation: of every view.
        normalise: bytes -> network.
        columns: further values per example, e.g. `given_labels`; each becomes an entry of the batch.
        views: independent augmentations of each image; entries `images`, or `images_0`, `images_1`, ...
    """

    pixels: np.ndarray
    order: AbstractOrder
    augmentation: AbstractAugmentation
    normalise: Normaliser
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    views: int = 1

    def iterate(self, steps: range, share: Share) -> Iterator[Batch]:
        """See `AbstractBatches`."""
        for step in steps:
            rows = self.order.rows(step)
            mine = share.of(len(rows))
            batch = {name: torch.from_numpy(values[rows[mine]]) for name, values in self.columns.items()}
            for view in range(self.views):
                draws = self.augmentation.draw(stream(self.order.seed, "augment", step, view), len(rows))
                own = {name: values[mine] for name, values in draws.items()}
                title = "images" if self.views == 1 else f"images_{view}"
                batch[title] = self.normalise(self.augmentation.apply(self.pixels[rows[mine]], own))
            yield batch
