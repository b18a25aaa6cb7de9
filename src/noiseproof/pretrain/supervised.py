"""Classification of the given labels: cross-entropy or one binary decision per class, with Mixup/CutMix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from noiseproof.pretrain.settings import Settings
from noiseproof.pretrain.task import Task
from noiseproof.pretrain.towers import image_tower
from noiseproof.training.augment import PadCropFlip
from noiseproof.training.batches import Batch
from noiseproof.training.loop import Loss
from noiseproof.training.networks import Images, normaliser, outputs, pooled


def supervised_task(
    settings: Settings, given_labels: Int[np.ndarray, " n"], *, num_classes: int, seed: int
) -> Task:
    """A timm network that learns the given labels, right or wrong."""
    model = image_tower(settings, num_classes=num_classes, seed=seed)

    def predict(images: Images, class_names: tuple[str, ...]) -> np.ndarray:
        return outputs(model, model, images).argmax(axis=1)

    return Task(
        model=model,
        loss=supervised_loss(settings, num_classes=num_classes),
        normalise=normaliser(model),
        augmentation=PadCropFlip(settings.padding, settings.use_flip),
        features=pooled(model),
        weights=model,
        architecture=settings.model,
        columns={"given_labels": given_labels},
        predict=predict,
    )


def supervised_loss(settings: Settings, *, num_classes: int) -> Loss:
    """The loss of one batch of `images` and `given_labels`.

    Source: Wightman et al. 2021, arXiv:2110.00476, Section 2 (binary cross-entropy in which all classes of a
    mix are present, Mixup and CutMix taking turns), through timm's own pieces.
    """
    mix = _mixer(settings, num_classes)
    criterion = _criterion(settings)

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        images, targets = mix(batch["images"], batch["given_labels"].long())
        return criterion(model(images), targets)

    return loss


def _mixer(
    settings: Settings, num_classes: int
) -> Callable[[Float[Tensor, "b c h w"], Int[Tensor, " b"]], tuple[Tensor, Tensor]]:
    """(images, labels) -> (images, targets): label ids without mixing, rows of probabilities with it."""
    if not settings.mixup and not settings.cutmix:
        return lambda images, labels: (images, labels)
    from timm.data import Mixup
    from timm.data.mixup import mixup_target

    mixup = Mixup(
        mixup_alpha=settings.mixup,
        cutmix_alpha=settings.cutmix,
        label_smoothing=settings.label_smoothing,
        num_classes=num_classes,
    )

    def mix(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        if len(images) % 2:  # timm pairs a batch with its own reverse
            soft = mixup_target(labels, num_classes, 1.0, settings.label_smoothing)
            return images, soft
        return mixup(images.clone(), labels)

    return mix


def _criterion(settings: Settings) -> Callable[[Any, Any], Tensor]:
    is_mixed = bool(settings.mixup or settings.cutmix)
    smoothing = 0.0 if is_mixed else settings.label_smoothing  # Mixup smooths its targets itself
    if settings.loss == "bce":
        from timm.loss import BinaryCrossEntropy

        return BinaryCrossEntropy(smoothing=smoothing, target_threshold=settings.target_threshold)
    return torch.nn.CrossEntropyLoss(label_smoothing=smoothing)
