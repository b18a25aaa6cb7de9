"""Examples as numbers, for noise that depends on the example."""

from __future__ import annotations

import numpy as np

from noiseproof.data.examples import Rows
from noiseproof.errors import BadData
from noiseproof.progress import stage
from noiseproof.records import Dataset


def as_array(dataset: Dataset) -> np.ndarray:
    """Features as they are, images as raw pixels (n, height, width, 3), uint8; all in memory.

    Raises:
        BadData: texts, or images of more than one size.
    """
    if isinstance(dataset.examples, Rows):
        return dataset.examples.matrix
    if dataset.kind != "image":
        raise BadData(
            f"{dataset.name!r} holds texts, which are no numbers; allowed: images of one size, or features. "
            "Next: extract features and name them with `features`."
        )
    pixels: np.ndarray | None = None
    with stage(f"Reading {dataset.name}", total=len(dataset), unit="image") as bar:
        for row in range(len(dataset)):
            image = np.asarray(dataset.examples[row])
            if pixels is None:
                pixels = np.empty((len(dataset), *image.shape), np.uint8)
            if image.shape != pixels.shape[1:]:
                height, width = image.shape[:2]
                raise BadData(
                    f"{dataset.name!r} has images of several sizes: {str(dataset.ids[row])!r} is {width} x "
                    f"{height} pixels, the first {pixels.shape[2]} x {pixels.shape[1]}; allowed: one size. "
                    "Next: extract features and name them with `features`."
                )
            pixels[row] = image
            bar.update()
    assert pixels is not None  # no data set is empty
    return pixels
