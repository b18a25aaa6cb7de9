"""Classification of the given labels: cross-entropy or one binary decision per class, with Mixup/CutMix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from noiseproof.core.errors import invalid
from noiseproof.pretrain.image_towers import image_tower
from noiseproof.pretrain.pretrain_settings import PretrainSettings
from noiseproof.pretrain.task import Task
from noiseproof.training.augment import PadCropFlip
from noiseproof.training.batches import Batch
from noiseproof.training.loop import Loss
from noiseproof.training.networks import Images, normaliser, outputs, pooled


def supervised_task(
    settings: PretrainSettings,
    given_labels: Int[np.ndarray, " n"],
    *,
    num_classes: int,
    seed: int,
    num_processes: int = 1,
) -> Task:
    """A timm network that learns the given labels, right or wrong.

    Raises:
        InvalidArgument: an odd batch with Mixup or CutMix, which pair the images of a batch.
    """
    _check_mixable(settings, num_processes)
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


def supervised_loss(settings: PretrainSettings, *, num_classes: int) -> Loss:
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
    settings: PretrainSettings, num_classes: int
) -> Callable[[Float[Tensor, "b c h w"], Int[Tensor, " b"]], tuple[Tensor, Tensor]]:
    """(images, labels) -> (images, targets): label ids without mixing, rows of probabilities with it."""
    if not settings.mixup and not settings.cutmix:
        return lambda images, labels: (images, labels)
    from timm.data import Mixup

    mixup = Mixup(
        mixup_alpha=settings.mixup,
        cutmix_alpha=settings.cutmix,
        label_smoothing=settings.label_smoothing,
        num_classes=num_classes,
    )

    return lambda images, labels: mixup(images.clone(), labels)


def _check_mixable(settings: PretrainSettings, num_processes: int) -> None:
    """Refuse odd batches, since timm mixes a batch with its own reverse."""
    rows = settings.batch_size // (num_processes * settings.accumulation)
    if (settings.mixup or settings.cutmix) and rows % 2:
        raise invalid(
            "batch_size", settings.batch_size,
            f"with mixup or cutmix, a batch that leaves an even number for each of {num_processes} processes "
            f"x {settings.accumulation} parts, not {rows}",
            "Next: change batch_size, or set mixup=0 and cutmix=0.",
        )  # fmt: skip


def _criterion(settings: PretrainSettings) -> Callable[[Any, Any], Tensor]:
    is_mixed = bool(settings.mixup or settings.cutmix)
    smoothing = 0.0 if is_mixed else settings.label_smoothing  # Mixup smooths its targets itself
    if settings.loss == "bce":
        from timm.loss import BinaryCrossEntropy

        return BinaryCrossEntropy(smoothing=smoothing, target_threshold=settings.target_threshold)
    return torch.nn.CrossEntropyLoss(label_smoothing=smoothing)
