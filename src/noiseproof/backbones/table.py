"""Which prefix opens which kind of backbone."""

from __future__ import annotations

from noiseproof.backbones.base import AbstractBackbone
from noiseproof.registry import Registry, unknown_name

BACKBONES = Registry(
    "backbone",
    {
        "bundled:": "noiseproof.backbones.bundled:open_bundled",
        "features:": "noiseproof.backbones.arrays:open_given",
        "open_clip:": "noiseproof.backbones.image_text:open_open_clip",
        "timm:": "noiseproof.backbones.image:open_timm",
        "zoo:": "noiseproof.backbones.zoo:open_zoo",
    },
)
EXAMPLES = (
    "bundled:efficientnet-lite0",
    "features:",
    "open_clip:ViT-B-32/laion2b_s34b_b79k",
    "timm:resnet50",
    "timm:resnet50@checkpoint.safetensors",
    "zoo:resnet8-noise20",
)


def open_backbone(name: str, *, layer: str | None = None) -> AbstractBackbone:
    """The encoder of this name, ready to use.

    Args:
        name: a prefix of the table and what it needs, e.g. `"timm:resnet50"`.
        layer: which features; `None` for the default of that kind of backbone.

    Raises:
        UnknownName: with the nearest known name.
        MissingExtra: the package it needs is not installed.
    """
    prefix, colon, rest = name.partition(":")
    if prefix + colon not in BACKBONES.names:
        raise unknown_name("backbone", name, EXAMPLES, "Each starts with one of the prefixes shown.")
    return BACKBONES.load(prefix + colon)(rest, layer=layer)
