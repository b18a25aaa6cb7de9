"""Optimisers by name, from timm."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from noiseproof.backbones.images.timm_models import import_timm
from noiseproof.core.registry import unknown_name

OPTIMIZERS = ("adamw", "lamb", "lars", "momentum", "sgd")


def make_optimizer(
    model: nn.Module, name: str, *, learning_rate: float, weight_decay: float, momentum: float = 0.9
) -> torch.optim.Optimizer:
    """An optimiser of the parameters that need gradients; biases and norms are not decayed.

    Args:
        model: whose parameters.
        name: one of `OPTIMIZERS`; `sgd` has Nesterov momentum, `momentum` is SGD with the usual one.
        learning_rate: the highest of the schedule.
        weight_decay: of matrices and filters.
        momentum: of sgd, momentum and lars.

    Raises:
        UnknownName: no such optimiser.
    """
    if name not in OPTIMIZERS:
        raise unknown_name("optimizer", name, OPTIMIZERS)
    import_timm(f"The optimiser {name!r}")
    from timm.optim import create_optimizer_v2

    options: dict[str, Any] = {"momentum": momentum} if name in ("sgd", "momentum", "lars") else {}
    return create_optimizer_v2(
        model, opt=name, lr=learning_rate, weight_decay=weight_decay, filter_bias_and_bn=True, **options
    )
