"""Fresh image towers from timm, initialised by the seed."""

from __future__ import annotations

from typing import Any

import torch

from noiseproof.backbones.images.timm_backbone import unknown_model
from noiseproof.backbones.images.timm_models import import_timm
from noiseproof.core.rng import isolated
from noiseproof.pretrain.pretrain_settings import PretrainSettings


def image_tower(settings: PretrainSettings, *, num_classes: int, seed: int) -> Any:
    """A timm model with a classifier of `num_classes`; 0 leaves the classifier out.

    Raises:
        UnknownName: no such model.
    """
    timm = import_timm("Pre-training")
    if not timm.is_model(settings.model):
        raise unknown_model(settings.model, timm.list_models())
    with isolated(seed, "init"):
        model = timm.create_model(
            settings.model, pretrained=False, num_classes=num_classes, drop_path_rate=settings.drop_path
        )
    return model.to(memory_format=torch.channels_last)
