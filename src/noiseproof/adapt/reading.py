"""Images of a fine-tuning, prepared by the backbone: augmented batches to train on, blocks to evaluate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Int

from noiseproof.adapt.finetune_settings import MetaSettings, TowerSettings
from noiseproof.adapt.initial_encoder import InitialEncoder
from noiseproof.core.records import Dataset
from noiseproof.core.rng import torch_seed
from noiseproof.core.row_blocks import row_blocks
from noiseproof.training.augment import AbstractAugmentation, PadCropFlip, Unchanged
from noiseproof.training.batches import AbstractBatches, ArrayBatches
from noiseproof.training.decoded_images import prepare_all, prepared_blocks
from noiseproof.training.networks import Images
from noiseproof.training.order import AbstractOrder, BalancedOrder, Order
from noiseproof.training.streaming import StreamBatches

_ROWS = 128  # images of a block to evaluate


def training_batches(
    dataset: Dataset,
    given_labels: Int[np.ndarray, " n"],
    initial: InitialEncoder,
    settings: TowerSettings,
    *,
    seed: int,
    quiet: bool,
    per_class: int | None = None,
) -> AbstractBatches:
    """Augmented batches of `images` and `given_labels`; `row` is the index of each in the data set.

    Images in memory are shifted after the backbone has prepared them; streamed ones are cut by timm's random
    resized crop instead.
    """
    order = _order(given_labels, settings.batch_size, per_class=per_class, seed=seed)
    columns = {"given_labels": given_labels, "row": np.arange(len(given_labels))}
    size = initial.preprocessing["image_size"]
    if settings.reading == "stream":
        return StreamBatches(dataset, order, settings.transform(size), initial.normalise, columns)
    pixels = prepare_all(dataset, initial.backbone.prepare, size, quiet=quiet)
    return ArrayBatches(pixels, order, _augmentation(settings), initial.normalise, columns)


def meta_batches(
    dataset: Dataset,
    labels: Int[np.ndarray, " m"],
    initial: InitialEncoder,
    settings: TowerSettings,
    meta: MetaSettings,
    *,
    seed: int,
    quiet: bool,
) -> AbstractBatches:
    """Batches of clean examples, read and augmented like the training examples."""
    own = settings.model_copy(update={"batch_size": meta.batch_size})
    return training_batches(dataset, labels, initial, own, seed=torch_seed(seed, "meta set"), quiet=quiet)


def _order(
    given_labels: Int[np.ndarray, " n"], batch_size: int, *, per_class: int | None, seed: int
) -> AbstractOrder:
    """Order of all examples, or of `per_class` examples of each class; a small data set is one batch."""
    if per_class is None:
        return Order(len(given_labels), min(batch_size, len(given_labels)), seed)
    return BalancedOrder(given_labels, per_class, batch_size, seed)


def _augmentation(settings: TowerSettings) -> AbstractAugmentation:
    """The augmentation of batches of images in memory."""
    if settings.augmentation == "none":
        return Unchanged()
    padding = settings.padding if "crop" in settings.augmentation else 0
    return PadCropFlip(padding, use_flip="flip" in settings.augmentation)


def reader(
    dataset: Dataset, initial: InitialEncoder, settings: TowerSettings, *, is_read_again: bool, quiet: bool
) -> Callable[[], Images]:
    """Start passes over all images, in order, in normalised blocks.

    Args:
        dataset: of images.
        initial: prepares them.
        settings: with reading "memory", images that are read again are kept in memory.
        is_read_again: whether more than one pass is made.
        quiet: no progress bar.
    """
    prepare, normalise = initial.backbone.prepare, initial.normalise
    if settings.reading == "stream" or not is_read_again:
        return lambda: (
            normalise(block)
            for block in prepared_blocks(dataset, prepare, block_size=_ROWS, num_threads=settings.workers)
        )
    pixels = prepare_all(dataset, prepare, initial.preprocessing["image_size"], quiet=quiet)
    return lambda: (normalise(pixels[rows]) for rows in row_blocks(len(pixels), _ROWS))
