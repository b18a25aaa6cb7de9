"""`timm:NAME[@checkpoint]`: pooled pre-logits features of any timm model, with its own preprocessing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from noiseproof.backbones.adapters.additions import Addition, add_to
from noiseproof.backbones.base import chosen_layer
from noiseproof.backbones.checkpoints.downloads import downloading
from noiseproof.backbones.checkpoints.weights import load_exactly, read_checkpoint, read_header, under_prefix
from noiseproof.backbones.images.pixels import ImageBackbone
from noiseproof.backbones.images.timm_models import import_timm
from noiseproof.core.errors import UnknownName, invalid
from noiseproof.core.registry import nearest, unknown_name

LAYER = "pooled"
_FAMILIAR = ("convnext_tiny", "efficientnet_b0", "resnet50", "tf_efficientnet_lite0", "vit_base_patch16_224")


def open_timm(rest: str, *, layer: str | None = None) -> ImageBackbone:
    """A timm model as a backbone.

    The classifier is dropped, so a checkpoint may bring one of any size or none; every other key must fit.
    The header of a checkpoint that noiseproof wrote also has its preprocessing, the prefix of the encoder's
    weights and the prompts or adapters in it; other checkpoints get timm's preprocessing.

    Args:
        rest: what follows `timm:`; a model name, with `@path` for weights from a file instead of the hub.
        layer: `"pooled"`, the input of the classifier.

    Raises:
        UnknownName: no such model or layer.
        CheckpointMismatch: the file is of another model.
        MissingFile: the weights are neither here nor can they be downloaded.
    """
    chosen_layer(layer, [LAYER])
    check_timm_name(rest)
    timm = import_timm(f"The backbone 'timm:{rest}'")
    architecture, _, checkpoint = rest.partition("@")
    if checkpoint:
        model = timm.create_model(architecture, pretrained=False, num_classes=0)
        weights = read_checkpoint(checkpoint)
        header = read_header(checkpoint)
        state = under_prefix(weights, header.prefix)
        use_preprocessing(model, header.preprocessing)
        if header.additions is not None:
            add_to(model, Addition(**header.additions), seed=0)
        load_exactly(model, state, source=checkpoint, dropped=classifier_names(model))
    else:
        with downloading(f"timm:{rest}"):
            model = timm.create_model(architecture, pretrained=True, num_classes=0)
    return as_backbone(f"timm:{rest}", model)


def check_timm_name(rest: str) -> None:
    """Refuse a model that timm does not have, or has no weights of and no checkpoint is named for."""
    timm = import_timm(f"The backbone 'timm:{rest}'")
    architecture, _, checkpoint = rest.partition("@")
    if not timm.is_model(architecture):
        raise unknown_model(architecture, timm.list_models())
    if not checkpoint and not timm.is_model_pretrained(architecture):
        raise invalid(
            "backbone", f"timm:{rest}", "a model with pretrained weights, or 'timm:NAME@checkpoint'",
            "timm has no weights for this one. Next: name a checkpoint after '@'.",
        )  # fmt: skip


def use_preprocessing(model: Any, preprocessing: Mapping[str, Any]) -> None:
    """Set the preprocessing of a timm model to that of its weights.

    Args:
        model: its configuration is changed in place.
        preprocessing: as from `preprocessing_of`; missing keys stay as timm has them.
    """
    if "image_size" in preprocessing:
        size = preprocessing["image_size"]
        model.pretrained_cfg["input_size"] = (3, size, size)
    for key in ("mean", "std"):
        if key in preprocessing:
            model.pretrained_cfg[key] = tuple(preprocessing[key])
    for key, ours in (("interpolation", "interpolation"), ("crop_pct", "crop_share")):
        if ours in preprocessing:
            model.pretrained_cfg[key] = preprocessing[ours]


def preprocessing_of(model: Any) -> dict[str, Any]:
    """Preprocessing of a timm model, as in cards and headers of weights.

    Returns:
        `image_size` in pixels, `interpolation`, `crop_share` of the shorter side, and `mean` and `std` of
        pixels in [0, 1].

    Raises:
        InvalidArgument: it takes images that are not square.
    """
    from timm.data import resolve_model_data_config

    config = resolve_model_data_config(model)
    _, height, width = config["input_size"]
    if height != width:
        raise invalid("backbone", (height, width), "a model of square images")
    return {
        "image_size": height,
        "interpolation": config["interpolation"],
        "crop_share": config["crop_pct"],
        "mean": list(config["mean"]),
        "std": list(config["std"]),
    }


def as_backbone(name: str, model: nn.Module) -> ImageBackbone:
    """A timm model without classifier, with the preprocessing it was trained for."""
    from timm.data import create_transform, resolve_model_data_config

    config = resolve_model_data_config(model)
    # The variant for prefetchers stops before the arithmetic; its last step only turns PIL into a tensor.
    steps = create_transform(**config, use_prefetcher=True).transforms[:-1]
    return ImageBackbone(
        name,
        layer=LAYER,
        encoder=model,
        geometry=sequential(steps),
        mean=config["mean"],
        std=config["std"],
        description=f"timm {create_transform(**config)}",
    )


def sequential(steps: list[Any]) -> Any:
    """The steps as one function."""

    def applied(image: Any) -> Any:
        for step in steps:
            image = step(image)
        return image

    return applied


def classifier_names(model: Any) -> tuple[str, ...]:
    """The layers that turn features into classes."""
    names = model.pretrained_cfg.get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)


def unknown_model(architecture: str, known: list[str]) -> UnknownName:
    """timm knows more than a thousand names: the message shows those that are near."""
    near = nearest(architecture, known, _FAMILIAR)
    return unknown_name(
        "timm model", architecture, near, f"These are the nearest of {len(known)}: see `timm.list_models()`."
    )
