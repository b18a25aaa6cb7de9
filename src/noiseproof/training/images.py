"""A data set of images as one array."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from noiseproof.progress import stage
from noiseproof.records import Dataset


def decode_all(dataset: Dataset, image_size: int, *, quiet: bool = False) -> UInt8[np.ndarray, "n h w 3"]:
    """Every image, in order, decoded once and resized (bicubic) to a square where it is of another size.

    Args:
        dataset: of images.
        image_size: height and width in pixels; n x size^2 x 3 bytes have to fit into memory.
        quiet: no progress bar.
    """
    pixels = np.empty((len(dataset), image_size, image_size, 3), np.uint8)
    size = (image_size, image_size)
    with stage(f"Decoding {dataset.name}", total=len(dataset), unit="image", quiet=quiet) as bar:
        for row in range(len(dataset)):
            image = dataset.examples[row]
            pixels[row] = np.asarray(
                image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)
            )
            bar.update()
    return pixels
