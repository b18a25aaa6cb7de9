"""Batches of images that are decoded when their turn comes, with timm's transforms, in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from noiseproof.core import records
from noiseproof.core.rng import isolated, stream
from noiseproof.core.row_blocks import row_blocks
from noiseproof.training.augment import AbstractAugmentation, Unchanged
from noiseproof.training.batches import AbstractBatches, Batch, Normaliser
from noiseproof.training.order import AbstractOrder, Share

_ROWS = 64


@final
@dataclass(frozen=True)
class Transform:
    """How a PIL image becomes pixels of one size.

    Attributes:
        image_size: height and width in pixels.
        least_scale: least share of the area that a random crop keeps; aspect 3/4 to 4/3.
        use_flip: flip left to right half of the time.
        randaugment: in timm's notation; `None` is off.
        crop_share: of the shorter side, that the centre crop of an evaluation keeps.
        workers: processes that decode; 0 decodes in this one.
    """

    image_size: int
    least_scale: float = 0.08
    use_flip: bool = True
    randaugment: str | None = None
    crop_share: float = 0.95
    workers: int = 0

    def for_training(self) -> Callable[[Any], UInt8[np.ndarray, "3 h w"]]:
        """Random crop, flip and RandAugment; draws from the global generators."""
        from timm.data import create_transform

        return create_transform(
            self.image_size, is_training=True, use_prefetcher=True, scale=(self.least_scale, 1.0),
            hflip=0.5 if self.use_flip else 0.0, auto_augment=self.randaugment, color_jitter=0.0,
            interpolation="bicubic",
        )  # fmt: skip

    def for_evaluation(self) -> Callable[[Any], UInt8[np.ndarray, "3 h w"]]:
        """Resize and centre crop."""
        from timm.data import create_transform

        return create_transform(
            self.image_size, is_training=False, use_prefetcher=True, crop_pct=self.crop_share,
            interpolation="bicubic",
        )  # fmt: skip


@final
@dataclass(frozen=True)
class StreamBatches(AbstractBatches):
    """Images of any size, each decoded and changed when a step needs it.

    Attributes:
        dataset: of images.
        order: which rows a step sees.
        transform: how an image becomes pixels.
        normalise: bytes -> network.
        columns: further values per example.
        views: independent augmentations of each image, as in `ArrayBatches`.
        augmentation: of whole views, after what timm's transforms did to each image.
    """

    dataset: records.Dataset
    order: AbstractOrder
    transform: Transform
    normalise: Normaliser
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    views: int = 1
    augmentation: AbstractAugmentation = field(default_factory=Unchanged)

    def iterate(self, steps: range, share: Share) -> Iterator[Batch]:
        """See `AbstractBatches`."""
        source = _Keyed(self.dataset, self.transform.for_training(), self.order.seed)
        loader = DataLoader(
            source, batch_sampler=self._keys(steps, share), num_workers=self.transform.workers,
            collate_fn=_stacked,
        )  # fmt: skip
        for step, pixels in zip(steps, loader, strict=True):
            rows = self.order.rows(step)
            mine = share.of(len(rows))
            batch = {name: torch.from_numpy(values[rows[mine]]) for name, values in self.columns.items()}
            for view, images in enumerate(pixels.chunk(self.views)):
                draws = self.augmentation.draw(stream(self.order.seed, "augment", step, view), len(rows))
                own = {name: values[mine] for name, values in draws.items()}
                title = "images" if self.views == 1 else f"images_{view}"
                batch[title] = self.normalise(self.augmentation.apply(images.numpy(), own))
            yield batch

    def _keys(self, steps: range, share: Share) -> Iterator[list[tuple[int, int, int, int]]]:
        """For each step, (step, place in the whole batch, view, row) of every image of this process."""
        for step in steps:
            rows = self.order.rows(step)
            places = range(len(rows))[share.of(len(rows))]
            yield [(step, place, view, int(rows[place])) for view in range(self.views) for place in places]


def stream_images(dataset: records.Dataset, transform: Transform, normalise: Normaliser) -> Iterator[Tensor]:
    """Blocks of all images in order, for an evaluation."""
    source = _Keyed(dataset, transform.for_evaluation(), 0)
    blocks = (range(len(dataset))[rows] for rows in row_blocks(len(dataset), _ROWS))
    keys = [[(0, place, 0, row) for place, row in enumerate(rows)] for rows in blocks]
    loader = DataLoader(source, batch_sampler=keys, num_workers=transform.workers, collate_fn=_stacked)
    for pixels in loader:
        yield normalise(pixels.numpy())


@final
class _Keyed(Dataset[Any]):
    """An image by its key. What timm draws from global state depends on the key alone."""

    def __init__(self, dataset: records.Dataset, change: Callable[[Any], Any], seed: int) -> None:
        self._dataset, self._change, self._seed = dataset, change, seed

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, key: tuple[int, int, int, int]) -> Any:
        step, place, view, row = key
        with isolated(self._seed, "augment", step, place, view, is_cpu_only=True):
            return self._change(self._dataset.examples[row])


def _stacked(pixels: list[Any]) -> UInt8[Tensor, "b h w 3"]:
    return torch.from_numpy(
        np.ascontiguousarray(np.stack([np.asarray(each) for each in pixels]).transpose(0, 2, 3, 1))
    )
