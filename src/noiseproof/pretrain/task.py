"""A pre-training task: network, loss and evaluation of one objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor, nn

from noiseproof.training.augment import AbstractAugmentation, Unchanged
from noiseproof.training.batches import Normaliser
from noiseproof.training.loop import Loss
from noiseproof.training.networks import Images


@dataclass(frozen=True, eq=False)
class Task:
    """Network, loss and evaluation of one objective.

    Attributes:
        model: the network to train.
        loss: of the model and a batch.
        normalise: pixels from bytes to input of the network.
        augmentation: of small images in memory.
        recolour: colour changes when streaming, where timm's transforms crop and flip.
        features: images -> (b, d), the encoder as a backbone.
        weights: the part of the model whose state dict is saved.
        columns: values per example, added to the batches.
        views: augmentations of each image in a batch.
        predict: test images and class names -> class ids; `None` for a linear probe.
        metric: name of the accuracy in the card.
        architecture: timm name of the image tower; `None` where it is not timm's.
        prefix: of the image tower's keys among the weights.
        facts: for the card.
        preprocessing: for the card, where the encoder replaces that of the settings.
    """

    model: nn.Module
    loss: Loss
    normalise: Normaliser
    augmentation: AbstractAugmentation
    features: Callable[[Tensor], Tensor]
    weights: nn.Module
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    views: int = 1
    recolour: AbstractAugmentation = field(default_factory=Unchanged)
    predict: Callable[[Images, tuple[str, ...]], np.ndarray] | None = None
    metric: str = "test_accuracy"
    architecture: str | None = None
    prefix: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
