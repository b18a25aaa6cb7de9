"""How fine-tuning reads images: batches to learn from, blocks to look at, prepared by the backbone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Int

from noiseproof.adapt.finetune_settings import MetaSettings, TowerSettings
from noiseproof.adapt.initial_encoder import Start
from noiseproof.core.records import Dataset
from noiseproof.core.rng import torch_seed
from noiseproof.training.augment import AbstractAugmentation, PadCropFlip, Unchanged
from noiseproof.training.batches import AbstractBatches, ArrayBatches
from noiseproof.training.decoded_images import prepare_all, prepared_blocks
from noiseproof.training.loop import TrainingSchedule
from noiseproof.training.networks import Images
from noiseproof.training.order import AbstractOrder, BalancedOrder, Order
from noiseproof.training.streaming import StreamBatches

_ROWS = 128  # images of a block to look at


def training_batches(
    dataset: Dataset,
    given_labels: Int[np.ndarray, " n"],
    start: Start,
    settings: TowerSettings,
    *,
    seed: int,
    quiet: bool,
    per_class: int | None = None,
) -> AbstractBatches:
    """Augmented batches of `images` and `given_labels`; entry `row` is the place of each in the data set.

    Small images are shifted after the preparation of the backbone; streamed ones are cut by timm's random
    resized crop instead.
    """
    order = order_of(given_labels, settings.batch_size, per_class=per_class, seed=seed)
    columns = {"given_labels": given_labels, "row": np.arange(len(given_labels))}
    size = start.preprocessing["image_size"]
    if settings.reading == "stream":
        return StreamBatches(dataset, order, settings.transform(size), start.normalise, columns)
    pixels = prepare_all(dataset, start.backbone.prepare, size, quiet=quiet)
    return ArrayBatches(pixels, order, augmentation_of(settings), start.normalise, columns)


def meta_batches(
    dataset: Dataset,
    labels: Int[np.ndarray, " m"],
    start: Start,
    settings: TowerSettings,
    meta: MetaSettings,
    *,
    seed: int,
    quiet: bool,
) -> AbstractBatches:
    """Batches of clean examples, read and augmented as those to learn from."""
    own = settings.model_copy(update={"batch_size": meta.batch_size})
    return training_batches(dataset, labels, start, own, seed=torch_seed(seed, "meta set"), quiet=quiet)


def order_of(
    given_labels: Int[np.ndarray, " n"], batch_size: int, *, per_class: int | None, seed: int
) -> AbstractOrder:
    """All examples in random order, or as many of each class; a small data set is one batch."""
    if per_class is None:
        return Order(len(given_labels), min(batch_size, len(given_labels)), seed)
    return BalancedOrder(given_labels, per_class, batch_size, seed)


def augmentation_of(settings: TowerSettings) -> AbstractAugmentation:
    """Of whole batches of small images."""
    if settings.augmentation == "none":
        return Unchanged()
    padding = settings.padding if "crop" in settings.augmentation else 0
    return PadCropFlip(padding, use_flip="flip" in settings.augmentation)


def reader(
    dataset: Dataset, start: Start, settings: TowerSettings, *, is_read_again: bool, quiet: bool
) -> Callable[[], Images]:
    """All images in order, normalised, in blocks, as often as asked.

    Args:
        dataset: of images.
        start: how they are prepared.
        settings: small ones that are read again are kept, when reading into memory.
        is_read_again: whether there is more than one pass.
        quiet: no progress bar.
    """
    prepare, normalise = start.backbone.prepare, start.normalise
    if settings.reading == "stream" or not is_read_again:
        return lambda: (
            normalise(block)
            for block in prepared_blocks(dataset, prepare, block_size=_ROWS, num_threads=settings.workers)
        )
    pixels = prepare_all(dataset, prepare, start.preprocessing["image_size"], quiet=quiet)
    starts = range(0, len(pixels), _ROWS)
    return lambda: (normalise(pixels[begin : begin + _ROWS]) for begin in starts)


def training_schedule(
    settings: TowerSettings,
    order: AbstractOrder,
    *,
    seed: int,
    warmup_share: float = 0.0,
    eval_epochs: float | None = None,
) -> TrainingSchedule:
    """The schedule of a training: its steps, its warm-up and its validations."""
    num_steps = settings.epochs * order.steps_per_epoch
    return TrainingSchedule(
        num_steps=num_steps,
        warmup_steps=round(warmup_share * num_steps),
        precision=settings.precision,
        accumulation=settings.accumulation,
        max_grad_norm=settings.max_grad_norm,
        seed=seed,
        checkpoint_steps=settings.checkpoint_steps,
        eval_steps=None if eval_epochs is None else max(round(eval_epochs * order.steps_per_epoch), 1),
    )
