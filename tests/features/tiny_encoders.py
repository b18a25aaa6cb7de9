"""Small stand-ins: a data set of coloured squares and an encoder that costs nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from noiseproof.backbones.base import AbstractBackbone
from noiseproof.backbones.images.pixels import ImageBackbone
from noiseproof.core.records import Dataset


class Squares(Sequence):
    """Image i is one colour that depends on i; reading the row `broken` fails."""

    def __init__(self, num_examples: int, *, broken: int | None = None) -> None:
        self.num_examples = num_examples
        self.broken = broken

    def __len__(self) -> int:
        return self.num_examples

    def __getitem__(self, row: Any) -> Image.Image:
        if row == self.broken:
            raise OSError("image file is truncated")
        return Image.new("RGB", (12, 10), (row % 256, (7 * row) % 256, (31 * row) % 256))


def squares(num_examples: int, *, fingerprint: str = "squares", broken: int | None = None) -> Dataset:
    return Dataset(
        name="squares",
        kind="image",
        examples=Squares(num_examples, broken=broken),
        ids=np.array([f"square-{row}" for row in range(num_examples)]),
        given_labels=None,
        class_names=(),
        fingerprint=hashlib.sha256(fingerprint.encode()).hexdigest(),
    )


def matrix_dataset(rows: np.ndarray, ids: np.ndarray | None = None) -> Dataset:
    return Dataset(
        name="matrix",
        kind="features",
        examples=list(rows),
        ids=np.arange(len(rows)) if ids is None else ids,
        given_labels=None,
        class_names=(),
        fingerprint=hashlib.sha256(rows.tobytes()).hexdigest(),
    )


class CountingBackbone(AbstractBackbone):
    """Mean colour times a fixed matrix; remembers every batch it encoded."""

    kind = "image"
    dim = 5

    def __init__(self, *, name="counting", weights_hash="w0", layer="pooled", transform="8x8") -> None:
        self.name = name
        self.weights_hash = weights_hash
        self.layer = layer
        self.transform = transform
        self.batch_sizes: list[int] = []
        self._weights = np.random.default_rng(3).standard_normal((3, 5)).astype(np.float32)

    @property
    def num_encoded(self) -> int:
        return sum(self.batch_sizes)

    def prepare(self, example: Image.Image) -> np.ndarray:
        return np.asarray(example.resize((8, 8)))

    def encode(self, batch: np.ndarray) -> np.ndarray:
        self.batch_sizes.append(len(batch))
        return batch.astype(np.float32).mean(axis=(1, 2)) @ self._weights


class TinyNet(nn.Module):
    """A convolution and a pool: enough to be exported."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, kernel_size=3, stride=2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.conv(images).relu().mean(dim=(2, 3))


def image_backbone(encoder: nn.Module | None = None, *, name: str = "tiny") -> ImageBackbone:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = encoder or TinyNet()
    return ImageBackbone(
        name, layer="pooled", encoder=encoder, geometry=lambda image: image.resize((16, 16)),
        mean=[0.5, 0.4, 0.3], std=[0.2, 0.3, 0.4], description="16 px",
    )  # fmt: skip
