"""`open_clip:ARCH/TAG`: the image tower of an image-text model, before or after its projection."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import nn

from noiseproof.backbones.adapters.additions import Addition, add_to
from noiseproof.backbones.base import chosen_layer
from noiseproof.backbones.checkpoints.downloads import downloading
from noiseproof.backbones.checkpoints.weights import (
    is_checkpoint_name,
    load_exactly,
    read_checkpoint,
    read_header,
    under_prefix,
)
from noiseproof.backbones.images.pixels import ImageBackbone
from noiseproof.backbones.images.timm_backbone import sequential
from noiseproof.core.errors import CheckpointMismatch, invalid
from noiseproof.core.registry import nearest, unknown_name
from noiseproof.core.torchvision_ops import import_beside_torchvision

_FAMILIAR = ("RN50", "ViT-B-32", "ViT-L-14")
LAYERS = ("pre_projection", "projected")


def open_open_clip(rest: str, *, layer: str | None = None) -> ImageBackbone:
    """The image tower of an open_clip model as a backbone.

    Supported before the projection: VisionTransformer, ModifiedResNet and timm towers; after it: all.

    Args:
        rest: what follows `open_clip:`; `ARCH/TAG`, where the tag may be a path to a checkpoint file. Of a
            file only the image tower (`visual.*`) is read, with what `noiseproof adapt deft` put into it.
        layer: `"pre_projection"` (default: the published evaluation of noisy pre-training drops the
            projection) or `"projected"`, the space shared with text.

    Raises:
        UnknownName: no such architecture, tag or layer.
        CheckpointMismatch: the file is of another model.
        MissingFile: the weights are neither here nor can they be downloaded.
    """
    layer = chosen_layer(layer, LAYERS)
    name = f"open_clip:{rest}"
    open_clip, architecture, tag = _named(rest)
    with _quiet():
        model = _loaded(open_clip, name, architecture, tag)
    tower = model.visual
    preprocessing = _preprocessing(tower)
    if layer == LAYERS[0]:
        drop_projection(tower, name)
    *steps, _, normalise = preprocessing.transforms
    return ImageBackbone(
        name,
        layer=layer,
        encoder=tower,
        geometry=sequential(steps),
        mean=[float(value) for value in normalise.mean],
        std=[float(value) for value in normalise.std],
        description=f"open_clip {preprocessing}",
    )


def open_pair(rest: str) -> tuple[Any, Any]:
    """Both towers of an open_clip model, and its tokenizer.

    Args:
        rest: as in `open_open_clip`; a file has to have the whole model.
    """
    open_clip, architecture, tag = _named(rest)
    is_file = is_checkpoint_name(tag)
    with _quiet(), downloading(f"open_clip:{rest}"):
        model = open_clip.create_model(architecture, pretrained=None if is_file else tag)
        tokenizer = _tokenizer(architecture)
    if is_file:
        load_exactly(model, read_checkpoint(tag), source=tag)
    return model.eval(), tokenizer


@cache
def _tokenizer(architecture: str) -> Any:
    """Reading the vocabulary takes longer than all else about a small model."""
    import open_clip

    return open_clip.get_tokenizer(architecture)


def check_open_clip_name(rest: str) -> None:
    """Refuse an architecture or tag that open_clip does not have."""
    _named(rest)


def _named(rest: str) -> tuple[Any, str, str]:
    """The module, an architecture that it has, and a tag of its weights or a file of others."""
    open_clip = import_beside_torchvision(
        "open_clip", extra="clip", purpose=f"The backbone 'open_clip:{rest}'"
    )
    architecture, _, tag = rest.partition("/")
    known = open_clip.list_models()
    if architecture not in known:
        raise unknown_name(
            "open_clip architecture", architecture, nearest(architecture, known, _FAMILIAR),
            f"These are the nearest of {len(known)}: see `open_clip.list_models()`.",
        )  # fmt: skip
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if tag not in tags and not is_checkpoint_name(tag):
        raise unknown_name(
            "tag", tag, tags, f"Write 'open_clip:{architecture}/TAG' or a path to a checkpoint."
        )
    return open_clip, architecture, tag


def drop_projection(tower: Any, name: str) -> None:
    """Make an image tower return its pooled features instead of their projection, in place."""
    if isinstance(getattr(tower, "proj", None), nn.Parameter):  # VisionTransformer
        tower.proj = None
    elif isinstance(getattr(getattr(tower, "attnpool", None), "c_proj", None), nn.Linear):  # ModifiedResNet
        # The attention reads the weights of this layer instead of calling it, so it must stay a layer.
        width = tower.attnpool.c_proj.in_features
        tower.attnpool.c_proj = nn.Linear(width, width)
        nn.init.eye_(tower.attnpool.c_proj.weight)
        nn.init.zeros_(tower.attnpool.c_proj.bias)
    elif {"proj", "mlp"} & set(dict(getattr(tower, "head", nn.Identity()).named_children())):  # timm tower
        tower.head = nn.Sequential(
            *(step for title, step in tower.head.named_children() if title not in ("proj", "mlp"))
        )
    else:
        raise invalid(
            "layer", LAYERS[0], "'projected' for this architecture",
            f"The projection of {name!r} is in no place known here: towers with `proj`, `attnpool.c_proj`, "
            "`head.proj` or `head.mlp` are supported. Next: layer='projected'.",
        )  # fmt: skip


def _loaded(open_clip: Any, name: str, architecture: str, tag: str) -> Any:
    if not is_checkpoint_name(tag):
        with downloading(name):
            return open_clip.create_model(architecture, pretrained=tag)
    state = read_checkpoint(tag)
    visual = under_prefix(state, "visual.")
    if not visual:
        raise CheckpointMismatch(
            f"The weights in {tag!r} have no key that starts with 'visual.'; unexpected: "
            f"{', '.join(sorted(state)[:8])}. Next: give the checkpoint of a whole open_clip model."
        )
    model = open_clip.create_model(architecture, pretrained=None, pretrained_text=False)
    additions = read_header(tag).additions
    if additions is not None:
        add_to(model.visual, Addition(**additions), seed=0)
    load_exactly(model.visual, visual, source=tag)
    return model


def _preprocessing(tower: Any) -> Any:
    from open_clip.transform import PreprocessCfg, image_transform_v2

    return image_transform_v2(PreprocessCfg(**tower.preprocess_cfg), is_train=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """open_clip logs every step to the root logger, and a warning that a fresh model is random."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with torch.no_grad():
            yield
    finally:
        logging.disable(before)
