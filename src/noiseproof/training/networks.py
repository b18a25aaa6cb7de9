"""Outputs of networks on images, and the normalisation they expect."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from noiseproof.training.batches import Normaliser

Images = Iterable[Float[Tensor, "b 3 h w"]]


def outputs(model: nn.Module, call: Callable[[Tensor], Tensor], images: Images) -> Float[np.ndarray, "n d"]:
    """Outputs of `call` on every image, with the model in evaluation mode and float32.

    Args:
        model: left in the mode it was in.
        call: a method of the model, or the model itself.
        images: normalised, in blocks.
    """
    was_training = model.training
    device = next(model.parameters()).device
    model.eval()
    with torch.inference_mode():
        rows = [call(block.to(device)).float().cpu().numpy() for block in images]
    model.train(was_training)
    return np.concatenate(rows)


def normaliser(model: Any) -> Normaliser:
    """Normalisation that this timm model was trained with."""
    from timm.data import resolve_model_data_config

    config = resolve_model_data_config(model)
    return Normaliser(tuple(config["mean"]), tuple(config["std"]))


def pooled(model: Any) -> Callable[[Tensor], Tensor]:
    """The input of the classifier: the features of the model as a backbone."""
    return lambda images: model.forward_head(model.forward_features(images), pre_logits=True)
