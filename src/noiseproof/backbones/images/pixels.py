"""Image encoders: geometry on the CPU in uint8, arithmetic inside the network."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn

from noiseproof.backbones.base import AbstractBackbone, AbstractTorchBackbone
from noiseproof.backbones.checkpoints.weights import hash_weights
from noiseproof.core.errors import invalid
from noiseproof.core.records import Kind
from noiseproof.core.threads import one_thread

Geometry = Callable[[Image.Image], Image.Image]


class PixelEncoder(nn.Module):
    """An encoder that starts from bytes: (x / 255 - mean) / std is its first layer.

    The batch that travels is a quarter of the size, and an engine can fuse the arithmetic into the graph.

    Args:
        encoder: from normalised (b, 3, h, w) to (b, d).
        mean: per channel, of pixels in [0, 1].
        std: per channel, of pixels in [0, 1].
    """

    def __init__(self, encoder: nn.Module, *, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.scale: Tensor
        self.shift: Tensor
        scale = 1 / (255 * torch.tensor(std, dtype=torch.float64))
        shift = -torch.tensor(mean, dtype=torch.float64) / torch.tensor(std, dtype=torch.float64)
        self.encoder = encoder
        self.register_buffer("scale", scale.float().view(1, 3, 1, 1))
        self.register_buffer("shift", shift.float().view(1, 3, 1, 1))

    def forward(self, pixels: UInt8[Tensor, "b h w 3"]) -> Float[Tensor, "b d"]:
        """Features of RGB images."""
        images = pixels.permute(0, 3, 1, 2).to(self.scale.dtype)
        return self.encoder(images * self.scale + self.shift)


class ImageBackbone(AbstractTorchBackbone):
    """Any image network as a backbone.

    Args:
        name: as the user wrote it.
        layer: which features these are.
        encoder: from normalised images to (b, d); becomes frozen here.
        geometry: resizes and crops an RGB image to what the encoder takes.
        mean: per channel, of pixels in [0, 1].
        std: per channel, of pixels in [0, 1].
        description: the whole preprocessing as its library prints it.
    """

    kind: Kind = "image"

    def __init__(
        self, name: str, *, layer: str, encoder: nn.Module, geometry: Geometry,
        mean: Sequence[float], std: Sequence[float], description: str,
    ) -> None:  # fmt: skip
        if len(mean) != 3:
            raise invalid("backbone", name, "a model of three-channel images", "This one has another number.")
        self.name = name
        self.layer = layer
        self.mean, self.std = tuple(map(float, mean)), tuple(map(float, std))
        self.module = PixelEncoder(encoder, mean=mean, std=std).eval().requires_grad_(False)
        # Functions print where they are in memory, which would make the key of a store change with every run.
        self.transform = re.sub(r" at 0x[0-9a-fA-F]+", "", description)
        self.weights_hash = hash_weights(self.module)
        self.geometry, self.encoder = geometry, encoder
        self.dim = self._measured_dim(encoder)

    def prepare(self, example: Any) -> UInt8[np.ndarray, "h w 3"]:
        """Resize and crop; the numbers stay bytes."""
        return np.asarray(self.geometry(example))

    def encode(self, batch: UInt8[np.ndarray, "b h w 3"]) -> Float[np.ndarray, "b d"]:
        """Features by eager PyTorch, on whatever device the module is."""
        device = next(self.module.buffers()).device
        with torch.inference_mode():
            pixels = torch.from_numpy(np.require(batch, requirements=["C", "W"])).to(device)
            return self.module(pixels).float().cpu().numpy()

    def _measured_dim(self, encoder: nn.Module) -> int:
        blank = self.prepare(Image.new("RGB", (64, 64)))
        try:
            with torch.inference_mode(), one_thread():
                features = encoder(torch.zeros(1, 3, *blank.shape[:2]))
        except (AssertionError, RuntimeError) as error:  # transformers take one size
            raise invalid(
                "image_size",
                blank.shape[0],
                f"a size that {self.name!r} takes",
                f"It raised: {error}",
            ) from error
        if features.ndim != 2:
            raise invalid(
                "backbone", self.name, "a model with one pooled feature row per image",
                f"This one gives {tuple(features.shape)} for a single image.",
            )  # fmt: skip
        return int(features.shape[1])


def for_crops(backbone: AbstractBackbone) -> AbstractBackbone:
    """The encoder for images that are random crops already: resized to its input size, and nothing cut off.

    The usual preprocessing would cut the margin off once more. Encoders of anything but images stay as
    they are.
    """
    if not isinstance(backbone, ImageBackbone):
        return backbone
    height, width = backbone.prepare(Image.new("RGB", (64, 64))).shape[:2]
    twin = copy.copy(backbone)
    twin.transform = f"resize to {width} x {height}, bicubic, then as in: {backbone.transform}"
    twin.geometry = lambda image: image.resize((width, height), Image.Resampling.BICUBIC)
    return twin
