"""A trained network over an array of images: features and predictions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from noiseproof.training.batches import Normaliser

_ROWS = 500


def outputs(
    model: nn.Module,
    pixels: UInt8[np.ndarray, "n h w 3"],
    normalise: Normaliser,
    *,
    call: Callable[[Tensor], Tensor] | None = None,
) -> Float[np.ndarray, "n d"]:
    """What the network says of every image, in evaluation mode and float32.

    Args:
        model: left in the mode it was in.
        pixels: the images.
        normalise: as in training.
        call: what to call instead of the model itself, e.g. its `encode_image`.
    """
    was_training = model.training
    device = next(model.parameters()).device
    model.eval()
    rows = []
    with torch.inference_mode():
        for begin in range(0, len(pixels), _ROWS):
            images = normalise(pixels[begin : begin + _ROWS]).to(device)
            rows.append((call or model)(images).float().cpu().numpy())
    model.train(was_training)
    return np.concatenate(rows)
