"""`zoo:NAME`: small encoders that ship with the package, pre-trained under noise that is known exactly.

Each is two files of `src/noiseproof/weights/zoo`, see `noiseproof.backbones.packed`. `zoo:PATH` opens two
such files of yours.
"""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from noiseproof.backbones.packed import PackedCard, read_packed_card, read_weights
from noiseproof.backbones.pixels import ImageBackbone
from noiseproof.backbones.timm_backbone import (
    as_backbone,
    check_layer,
    classifier_names,
    use_preprocessing,
)
from noiseproof.backbones.timm_models import import_timm
from noiseproof.backbones.weights import load_exactly, under_prefix
from noiseproof.core.errors import invalid
from noiseproof.core.registry import unknown_name


def zoo_names() -> tuple[str, ...]:
    """Names that may follow `zoo:`, by kind of pre-training and rate of noise."""
    names = [each.name.removesuffix(".json") for each in _folder().iterdir() if each.name.endswith(".json")]
    return tuple(sorted(names, key=_by_rate))


def zoo_card(name: str) -> PackedCard:
    """How a zoo encoder was made and what it is worth.

    Args:
        name: of `zoo_names`, or the path of a card that `noiseproof pretrain pack` wrote, with or without
            its `.json`.

    Raises:
        UnknownName: with the nearest known name.
        DamagedFile: the card cannot be read, or another version of noiseproof wrote it.
    """
    return read_packed_card(_file(name, ".json"), f"zoo:{name}")


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
    check_layer(layer)
    card = zoo_card(rest)
    timm = import_timm(f"The backbone 'zoo:{rest}'")
    if card.architecture is None:
        raise invalid(
            "backbone", f"zoo:{rest}", "encoders with an image tower of timm's",
            f"Next: open_clip:{card.model}/FILE.safetensors, with the weights beside the card.",
        )  # fmt: skip
    model = timm.create_model(card.architecture, pretrained=False, num_classes=0)
    own = under_prefix(read_weights(_file(rest, ".safetensors"), card, f"zoo:{rest}"), card.prefix)
    load_exactly(model, own, source=f"zoo:{rest}", dropped=classifier_names(model))
    use_preprocessing(model, {"crop_share": 1.0} | card.preprocessing)
    return as_backbone(f"zoo:{rest}", model)


def describe(card: PackedCard) -> str:
    """One line: noise, accuracy, spectrum."""
    noise, (metric, value) = card.noise, card.result
    kind = {"image-text": "captions swapped", "simclr": "no labels used"}.get(
        card.objective, f"{noise.kind or 'label'} noise"
    )
    rate = "" if card.objective == "simclr" else f"{100 * noise.asked_rate:g} % "
    return (
        f"{rate}{kind}, {metric.replace('_', ' ')} {100 * value:.1f} %, "
        f"SVE {card.spectrum.entropy_nats:.2f}, LSVR {card.spectrum.largest_ratio:.2f}"
    )


def _file(name: str, suffix: str) -> Traversable:
    """One of the two files of an encoder."""
    stem = name.removesuffix(".json")
    if stem in zoo_names():
        return _folder() / f"{stem}{suffix}"
    if Path(f"{stem}.json").is_file():
        return Path(f"{stem}{suffix}")
    raise unknown_name(
        "zoo encoder", name, zoo_names(), "See 'noiseproof ls backbones', or give the path of a packed one."
    )


def _folder() -> Traversable:
    return resources.files("noiseproof") / "weights" / "zoo"


def _by_rate(name: str) -> tuple[str, int]:
    """noise5 comes before noise10."""
    kind, _, rate = name.partition("noise")
    return kind, int(rate) if rate.isdigit() else 0
