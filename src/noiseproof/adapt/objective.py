"""Which loss: a name and options -> the loss of each example of a batch."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from noiseproof.losses.classification import LOSSES
from noiseproof.registry import unknown_name
from noiseproof.training.batches import Batch
from noiseproof.training.loop import Loss

PerExample = Callable[[Float[Tensor, "b k"], Int[Tensor, " b"]], Float[Tensor, " b"]]


def per_example_loss(name: str, options: Mapping[str, Any]) -> PerExample:
    """The loss of this name: (logits, given labels) -> a value per example.

    Args:
        name: in the table of losses.
        options: its keyword arguments.

    Raises:
        UnknownName: no such loss, or it has no such option.
        InvalidArgument: an option out of range; found here and not at the first step.
    """
    function = LOSSES.load(name)
    known = [
        each.name
        for each in inspect.signature(function).parameters.values()
        if each.kind == each.KEYWORD_ONLY
    ]
    for option in options:
        if option not in known:
            raise unknown_name(f"option of the loss {name!r}:", option, known or ["(none)"])
    loss = partial(function, **options)
    loss(torch.zeros(2, 2), torch.tensor([0, 1]))
    return loss


def classification_loss(per_example: PerExample) -> Loss:
    """The loss of one batch of `images` and `given_labels`: the mean over its examples."""

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        return per_example(model(batch["images"]), batch["given_labels"].long()).mean()

    return loss
