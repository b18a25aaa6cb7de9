"""Open backbones by the prefix of their name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noiseproof.core.registry import Registry, unknown_name

if TYPE_CHECKING:
    from noiseproof.backbones.base import AbstractBackbone
    from noiseproof.backbones.services.settings import ServiceSettings

BACKBONES = Registry(
    "backbone",
    {
        "api:": "noiseproof.backbones.services.service_backbone:open_service",
        "bundled:": "noiseproof.backbones.bundled.bundled:open_bundled",
        "features:": "noiseproof.backbones.given_features:open_given",
        "hf:": "noiseproof.backbones.texts.hugging_face:open_hugging_face",
        "open_clip:": "noiseproof.backbones.image_text.open_clip_backbone:open_open_clip",
        "st:": "noiseproof.backbones.texts.hugging_face:open_sentence_transformer",
        "timm:": "noiseproof.backbones.images.timm_backbone:open_timm",
        "zoo:": "noiseproof.backbones.bundled.zoo:open_zoo",
    },
)
_CHECKS = Registry(
    "backbone",
    {
        "api:": "noiseproof.backbones.services.address:check_api_name",
        "bundled:": "noiseproof.backbones.bundled.bundled_files:check_bundled_name",
        "features:": "noiseproof.backbones.given_features:check_given_name",
        "hf:": "noiseproof.backbones.texts.hugging_face:check_hugging_face_name",
        "open_clip:": "noiseproof.backbones.image_text.open_clip_backbone:check_open_clip_name",
        "st:": "noiseproof.backbones.texts.hugging_face:check_hugging_face_name",
        "timm:": "noiseproof.backbones.images.timm_backbone:check_timm_name",
        "zoo:": "noiseproof.backbones.bundled.zoo_cards:zoo_card",
    },
)
EXAMPLES = (
    "api:text-embedding-3-small",
    "api:BAAI/bge-m3@http://127.0.0.1:8000/v1",
    "bundled:efficientnet-lite0",
    "bundled:efficientnet-lite1",
    "bundled:efficientnet-lite2",
    "bundled:lite0-minilm",
    "bundled:minilm-l6",
    "bundled:smollm2-135m",
    "features:",
    "hf:bert-large-uncased",
    "open_clip:ViT-B-32/laion2b_s34b_b79k",
    "st:all-MiniLM-L6-v2",
    "timm:resnet50",
    "timm:resnet50@checkpoint.safetensors",
    "zoo:resnet8-noise20",
)


def open_backbone(
    name: str,
    *,
    layer: str | None = None,
    service: ServiceSettings | None = None,
    max_tokens: int | None = None,
) -> AbstractBackbone:
    """The encoder of this name, ready to use.

    Args:
        name: a prefix of the table and what it needs, e.g. `"timm:resnet50"`.
        layer: which features; `None` for the default of that kind of backbone.
        service: key and pace of an embedding service; others do without.
        max_tokens: of a text encoder: longer texts are cut off there; `None` for all that it reads.

    Raises:
        UnknownName: with the nearest known name.
        InvalidArgument: `max_tokens` of an encoder that counts no tokens here, or more than it reads.
        MissingExtra: the package it needs is not installed.
    """
    prefix, rest = _parts(name)
    options = {"service": service} if prefix == "api:" else {}
    backbone = BACKBONES.load(prefix)(rest, layer=layer, **options)
    if max_tokens is not None:
        backbone.limit_tokens(max_tokens)
    return backbone


def check_name(name: str) -> None:
    """Refuse an encoder that does not exist, without reading any weights.

    Raises:
        UnknownName: with the nearest known name.
        InvalidArgument: what follows the prefix is none of its names.
        MissingExtra: the package that knows the names is not installed.
    """
    prefix, rest = _parts(name)
    _CHECKS.load(prefix)(rest)


def _parts(name: str) -> tuple[str, str]:
    prefix, colon, rest = name.partition(":")
    if prefix + colon not in BACKBONES.names:
        known = [*EXAMPLES, *_of_timm(name)]
        raise unknown_name("backbone", name, known, "A name starts with a prefix, such as timm:.")
    return prefix + colon, rest


def _of_timm(name: str) -> list[str]:
    """The name with its prefix, if timm has such a model."""
    try:
        from noiseproof.core.torchvision_ops import declare_missing_operators  # loads PyTorch

        declare_missing_operators()
        from timm import is_model
    except ImportError:
        return []
    return [f"timm:{name}"] if is_model(name.partition("@")[0]) else []
