"""`zoo:NAME`: small encoders that ship with the package, pre-trained under noise that is known exactly.

Each is two files of `src/noiseproof/weights/zoo`, see `noiseproof.backbones.bundled.packed`. `zoo:PATH` opens
two such files of yours.
"""

from __future__ import annotations

from noiseproof.backbones.base import chosen_layer
from noiseproof.backbones.bundled.packed import read_weights
from noiseproof.backbones.bundled.zoo_cards import zoo_card, zoo_file
from noiseproof.backbones.checkpoints.weights import load_exactly, under_prefix
from noiseproof.backbones.images.pixels import ImageBackbone
from noiseproof.backbones.images.timm_backbone import (
    LAYER,
    as_backbone,
    classifier_names,
    use_preprocessing,
)
from noiseproof.backbones.images.timm_models import import_timm
from noiseproof.core.errors import invalid


def open_zoo(rest: str, *, layer: str | None = None) -> ImageBackbone:
    """A zoo encoder as a backbone, for images of any size, which are resized to what it was trained on.

    Args:
        rest: what follows `zoo:`, see `zoo_card`.
        layer: `"pooled"`, the input of the classifier or projection.

    Raises:
        UnknownName: no such encoder or layer.
        InvalidArgument: its image tower is none of timm's.
        DamagedFile: the weights are not those the card describes.
    """
    chosen_layer(layer, [LAYER])
    card = zoo_card(rest)
    timm = import_timm(f"The backbone 'zoo:{rest}'")
    if card.architecture is None:
        raise invalid(
            "backbone", f"zoo:{rest}", "encoders with an image tower of timm's",
            f"Next: open_clip:{card.model}/FILE.safetensors, with the weights beside the card.",
        )  # fmt: skip
    model = timm.create_model(card.architecture, pretrained=False, num_classes=0)
    own = under_prefix(read_weights(zoo_file(rest, ".safetensors"), card, f"zoo:{rest}"), card.prefix)
    load_exactly(model, own, source=f"zoo:{rest}", dropped=classifier_names(model))
    use_preprocessing(model, {"crop_share": 1.0} | card.preprocessing)
    return as_backbone(f"zoo:{rest}", model)
