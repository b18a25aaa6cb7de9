"""Losses as a training loop calls them: with bound options, random draws and a memory of examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from noiseproof.core.errors import invalid
from noiseproof.losses.early_learning import EarlyLearningLoss
from noiseproof.losses.losses import LOSSES, Options, check_transition_given

# (log_probs "m vb k", given_labels "m vb", rows "m b") -> loss "m vb", of v views one after the other; `rows`
# are the row numbers of the examples, once for all views.
BatchLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
PerExampleLoss = Callable[[Tensor, Tensor], Tensor]
ExpectedLoss = Callable[[Tensor, Tensor], Tensor]


def has_memory(name: str) -> bool:
    """Whether a loss keeps a memory of every example, which is part of the training state."""
    return name == "elr"


def is_per_example(name: str) -> bool:
    """Whether a loss depends on one example at a time, as `per_example_loss` requires."""
    return name not in _BEYOND_ONE_EXAMPLE


def per_example_loss(name: str, options: Options, *, num_classes: int) -> PerExampleLoss:
    """The function (log_probs, given_labels) -> loss per example, with bound options.

    Args:
        name: in the table.
        options: result of `losses.losses.resolve_options`.
        num_classes: k.

    Raises:
        InvalidArgument: the transition matrix is missing or has another size; the loss needs more than one
            example at a time.
    """
    if not is_per_example(name):
        raise invalid(
            "loss", name, "a loss of one example at a time",
            "This loss depends on other examples or on earlier steps.",
        )  # fmt: skip
    check_transition_given(name, options, num_classes)
    values: dict[str, Any] = dict(options)
    matrix = values.pop("transition", None)
    function = LOSSES.load(name)
    if matrix is None:
        return partial(function, **values)
    argument = "inverse" if name == "backward" else "transition"
    given = np.array(matrix)
    tensor = torch.from_numpy(np.linalg.inv(given) if name == "backward" else given)

    def loss(log_probs: Tensor, given_labels: Tensor) -> Tensor:
        return function(log_probs, given_labels, **{argument: tensor.to(log_probs)})

    return loss


def expected_loss(name: str, options: Options, *, num_classes: int) -> ExpectedLoss:
    """The function (log_probs, probs of the label) -> expected loss per example.

    Args:
        name: in the table, of a loss of one example at a time; every loss but plain cross-entropy is computed
            once per class.
        options: result of `losses.losses.resolve_options`.
        num_classes: k.

    Raises:
        InvalidArgument: see `per_example_loss`.
    """
    loss = per_example_loss(name, options, num_classes=num_classes)
    if name == "cross_entropy" and not dict(options)["label_smoothing"]:
        return lambda log_probs, probs: -(probs * log_probs).sum(-1)

    def expected(log_probs: Float[Tensor, "*b k"], probs: Float[Tensor, "*b k"]) -> Float[Tensor, "*b"]:
        of_class = [
            loss(log_probs, torch.full(log_probs.shape[:-1], one, device=log_probs.device))
            for one in range(num_classes)
        ]
        return (probs * torch.stack(of_class, -1)).sum(-1)

    return expected


def batch_loss(
    name: str,
    options: Options,
    *,
    num_examples: int,
    num_classes: int,
    generators: Sequence[torch.Generator],
) -> BatchLoss:
    """The loss of one training, for m heads side by side or for one (m = 1).

    Args:
        name: in the table.
        options: result of `losses.losses.resolve_options`.
        num_examples: n.
        num_classes: k.
        generators: one per head, for losses that draw random numbers: the draws of a head do not depend on
            the other heads.

    Raises:
        InvalidArgument: the transition matrix is missing or has another size.
    """
    if name in _BEYOND_ONE_EXAMPLE:
        return _BEYOND_ONE_EXAMPLE[name](dict(options), num_examples, generators)
    loss = per_example_loss(name, options, num_classes=num_classes)
    return lambda log_probs, given_labels, rows: loss(log_probs, given_labels)


def _peer(options: dict[str, Any], num_examples: int, generators: Sequence[torch.Generator]) -> BatchLoss:
    function = LOSSES.load("peer")

    def shuffled(like: Int[Tensor, "m vb"]) -> Int[Tensor, "m vb"]:
        draws = [torch.randperm(like.shape[1], generator=g) for g in generators]
        return torch.stack(draws).to(like.device)

    def loss(
        log_probs: Float[Tensor, "m vb k"], given_labels: Int[Tensor, "m vb"], rows: Int[Tensor, "m b"]
    ) -> Float[Tensor, "m vb"]:
        examples, labels = shuffled(given_labels), given_labels.gather(-1, shuffled(given_labels))
        return function(log_probs, given_labels, peer_examples=examples, peer_labels=labels, **options)

    return loss


_BEYOND_ONE_EXAMPLE: dict[str, Callable[[dict[str, Any], int, Sequence[torch.Generator]], BatchLoss]] = {
    "peer": _peer,
    "elr": lambda options, num_examples, generators: EarlyLearningLoss(num_examples, **options),
}
