"""The loss of a fitted head as a function of its parameters, for curvature."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from noiseproof.core.errors import BadData
from noiseproof.heads.abstract import AbstractClassifier, empty_module
from noiseproof.losses.batch import per_example_loss

Parameters = dict[str, Tensor]
SummedLoss = Callable[[Parameters, Float[Tensor, "b d"], Int[Tensor, " b"]], Tensor]


def loss_surface(head: AbstractClassifier) -> tuple[Parameters, SummedLoss]:
    """Parameters of a fitted head and its classification loss, without regularisers and example weights.

    Args:
        head: fitted. Batch normalisation uses its running statistics and dropout is off.

    Returns:
        Parameters as float64, and (parameters, features, class ids) -> loss summed over the examples.

    Raises:
        InvalidArgument: the loss depends on more than an example and its label (peer, elr).
    """
    module = empty_module(head).eval()
    state = {name: value[None].double() for name, value in head.state_.items()}
    learned = {name for name, _ in module.named_parameters()}
    fixed = {name: value for name, value in state.items() if name not in learned}
    training = head.spec().training
    loss = per_example_loss(training.loss, training.loss_options, num_classes=len(head.classes_))

    def summed(parameters: Parameters, features: Tensor, given_labels: Tensor) -> Tensor:
        _, logits = torch.func.functional_call(module, {**parameters, **fixed}, (features[None],))
        return loss(torch.log_softmax(logits, -1), given_labels[None]).sum()

    return {name: value for name, value in state.items() if name in learned}, summed


def class_ids_of(head: AbstractClassifier, labels: np.ndarray) -> Int[np.ndarray, " n"]:
    """Labels as class ids of the head.

    Raises:
        BadData: the head was not trained on a label.
    """
    numbers = np.searchsorted(head.classes_, labels)
    numbers = np.minimum(numbers, len(head.classes_) - 1)
    unknown = np.flatnonzero(head.classes_[numbers] != labels)
    if len(unknown):
        raise BadData(
            f"The label {labels[unknown[:1]].tolist()[0]!r} in row {unknown[0]} is not a class of the "
            f"head; allowed: {', '.join(map(str, head.classes_[:12]))}. Next: pass "
            "labels of its training set."
        )
    return numbers
