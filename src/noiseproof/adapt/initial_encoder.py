"""The encoder that a training starts from: pre-trained or fresh, and how its images are prepared."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from noiseproof.adapt.finetune_settings import FinetuneSettings
from noiseproof.adapt.learnable import classifier_of
from noiseproof.backbones.adapters.additions import has_additions
from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.checkpoints.weights import load_exactly
from noiseproof.backbones.images.pixels import ImageBackbone
from noiseproof.backbones.images.timm_backbone import (
    as_backbone,
    preprocessing_of,
    unknown_model,
    use_preprocessing,
)
from noiseproof.backbones.images.timm_models import SMALL_SUFFIX, import_timm
from noiseproof.core.errors import invalid
from noiseproof.core.rng import isolated
from noiseproof.training.batches import Normaliser

_SMALL_PX = 64
_RAW = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


@dataclass(frozen=True, eq=False)
class InitialEncoder:
    """An encoder before it is adapted.

    Attributes:
        encoder: normalised images -> (b, d), in training mode.
        backbone: the same as a frozen backbone; its `prepare` makes the pixels.
        architecture: timm's name.
        preprocessing: of `preprocessing_of`.
        notes: sentences for the user about stem and weights.
    """

    encoder: Any
    backbone: ImageBackbone
    architecture: str
    preprocessing: dict[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def normalise(self) -> Normaliser:
        """Turns pixels from bytes into input of the network."""
        return Normaliser(self.backbone.mean, self.backbone.std)

    def network(self, num_classes: int, *, use_zeros: bool, seed: int) -> Any:
        """A copy of the encoder under a fresh linear classifier.

        Args:
            num_classes: k.
            use_zeros: start the classifier from zeros, as in the released code of Ghosh & Lan 2021,
                arXiv:2104.08984, so that all classes are equally likely; otherwise as timm initialises it.
            seed: of the classifier.
        """
        network = copy.deepcopy(self.encoder)
        with isolated(seed, "init", "head"):
            network.reset_classifier(num_classes)
        classifier = classifier_of(network)
        if use_zeros:
            nn.init.zeros_(classifier.weight)
            nn.init.zeros_(classifier.bias)
        return network


def set_classifier(network: Any, weight: Tensor, bias: Tensor) -> None:
    """Replace the values of the classifier, (k, d) and (k)."""
    classifier = classifier_of(network)
    classifier.weight.data.copy_(weight)
    classifier.bias.data.copy_(bias)


def load_initial_encoder(name: str, settings: FinetuneSettings, *, seed: int) -> InitialEncoder:
    """Load the encoder that a fine-tuning starts from.

    Args:
        name: as in `open_backbone`; encoders that timm builds.
        settings: `init`, `stem`, `image_size` and `normalisation` are read.
        seed: of fresh weights.

    Raises:
        InvalidArgument: an encoder that is not timm's, a stem for a network that cannot have it.
        CheckpointMismatch: weights of another architecture; missing and unexpected keys are listed.
    """
    encoder = _pretrained(name) if settings.init == "pretrained" else _fresh_like(name, seed)
    notes = []
    if settings.init == "random":
        notes.append(f"The weights of {name!r} are not used: init is 'random'.")
    if settings.stem is not None:
        encoder = _with_cifar_stem(encoder, seed, is_fresh=settings.init == "random")
        notes.append("The 3x3 stem is fresh, whatever the rest was trained on (stem=cifar).")
    if settings.image_size is not None:
        use_preprocessing(encoder, {"image_size": settings.image_size, "crop_share": 1.0})
    if settings.normalisation == "raw":
        use_preprocessing(encoder, _RAW)
    notes += _stem_notes(encoder)
    return InitialEncoder(
        encoder=copy.deepcopy(encoder).requires_grad_(True).train(), backbone=as_backbone(name, encoder),
        architecture=_architecture(encoder), preprocessing=preprocessing_of(encoder), notes=tuple(notes),
    )  # fmt: skip


def _pretrained(name: str) -> Any:
    backbone = open_backbone(name)
    encoder = backbone.module.encoder if isinstance(backbone, ImageBackbone) else None
    if not isinstance(getattr(encoder, "pretrained_cfg", None), dict):
        raise invalid(
            "backbone", name, "timm:NAME, timm:NAME@FILE, zoo:NAME or bundled:NAME", "Name another."
        )
    if has_additions(encoder):
        raise invalid(
            "backbone", name, "an encoder without prompts or adapters of an earlier fine-tuning",
            "Next: start from the encoder that they were put into.",
        )  # fmt: skip
    return encoder


def _fresh_like(name: str, seed: int) -> Any:
    """The architecture of a backbone with fresh weights; `timm:NAME` needs no download."""
    timm = import_timm(f"The architecture of {name!r}")
    prefix, _, rest = name.partition(":")
    if prefix == "timm" and "@" not in rest:
        if not timm.is_model(rest):
            raise unknown_model(rest, timm.list_models())
        return _fresh(rest, seed)
    trained = _pretrained(name)
    encoder = _fresh(_architecture(trained), seed)
    use_preprocessing(encoder, preprocessing_of(trained))
    return encoder


def _with_cifar_stem(encoder: Any, seed: int, *, is_fresh: bool) -> Any:
    timm = import_timm("`stem` = 'cifar'")
    name = f"{_architecture(encoder)}{SMALL_SUFFIX}"
    if not timm.is_model(name):
        able = [each.removesuffix(SMALL_SUFFIX) for each in timm.list_models(f"resnet*{SMALL_SUFFIX}")]
        raise invalid(
            "stem", "cifar", f"a backbone of {', '.join(each for each in able if timm.is_model(each))}",
            f"{_architecture(encoder)!r} is none of them. Next: leave `stem` out.",
        )  # fmt: skip
    other = _fresh(name, seed)
    if not is_fresh:
        state = encoder.state_dict() | {"conv1.weight": other.conv1.weight.detach()}
        load_exactly(other, state, source=_architecture(encoder))
    preprocessing = preprocessing_of(encoder)
    use_preprocessing(other, {name: preprocessing[name] for name in ("mean", "std")})
    return other


def _fresh(architecture: str, seed: int) -> Any:
    timm = import_timm("Fine-tuning")
    with isolated(seed, "init", "encoder"):
        return timm.create_model(architecture, pretrained=False, num_classes=0)


def _architecture(encoder: Any) -> str:
    return str(encoder.pretrained_cfg["architecture"])


def _stem_notes(encoder: Any) -> list[str]:
    """Warn of a stem for large images on small ones; it is never replaced silently."""
    size = preprocessing_of(encoder)["image_size"]
    has_small = import_timm("Fine-tuning").is_model(f"{_architecture(encoder)}{SMALL_SUFFIX}")
    if size > _SMALL_PX or not has_small:
        return []
    return [
        f"The stem leaves {size // 4} of {size} pixels in a row. Next: stem=cifar, or a larger image_size."
    ]
