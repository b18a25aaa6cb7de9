"""The images of a data set, prepared: as one array, or block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from noiseproof.core.progress import progress
from noiseproof.core.records import Dataset
from noiseproof.core.row_blocks import row_blocks

Prepare = Callable[[Any], np.ndarray]


def decode_all(dataset: Dataset, image_size: int, *, quiet: bool = False) -> UInt8[np.ndarray, "n h w 3"]:
    """Every image, in order, decoded once and resized (bicubic) to a square where it is of another size.

    Args:
        dataset: of images.
        image_size: height and width in pixels; n x size^2 x 3 bytes have to fit into memory.
        quiet: no progress bar.
    """
    size = (image_size, image_size)

    def squeezed(image: Image.Image) -> np.ndarray:
        return np.asarray(image if image.size == size else image.resize(size, Image.Resampling.BICUBIC))

    return prepare_all(dataset, squeezed, image_size, quiet=quiet)


def prepare_all(
    dataset: Dataset, prepare: Prepare, image_size: int, *, quiet: bool = False
) -> UInt8[np.ndarray, "n h w 3"]:
    """Every image, in order, as `prepare` makes it.

    Args:
        dataset: of images.
        prepare: image -> (image_size, image_size, 3).
        image_size: height and width in pixels; n x size^2 x 3 bytes have to fit into memory.
        quiet: no progress bar.
    """
    pixels = np.empty((len(dataset), image_size, image_size, 3), np.uint8)
    with progress(f"Decoding {dataset.name}", total=len(dataset), unit="image", quiet=quiet) as bar:
        for row in range(len(dataset)):
            pixels[row] = prepare(dataset.examples[row])
            bar.update()
    return pixels


def prepared_blocks(
    dataset: Dataset, prepare: Prepare, *, block_size: int = 64, num_threads: int = 1
) -> Iterator[UInt8[np.ndarray, "b h w 3"]]:
    """Every image, in order, a block in memory at a time."""
    with ThreadPoolExecutor(max(num_threads, 1)) as pool:
        for block in row_blocks(len(dataset), block_size):
            rows = range(len(dataset))[block]
            yield np.stack(list(pool.map(lambda row: prepare(dataset.examples[row]), rows)))
