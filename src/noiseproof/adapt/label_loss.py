"""Losses by name, as what trains a head in a way of its own calls them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from noiseproof.losses.classification import LOSSES
from noiseproof.registry import unknown_name

# (log_probs "*m b k", given_labels "*m b") -> loss "*m b"
LabelLoss = Callable[[Tensor, Tensor], Tensor]
META_LOSSES = ("cross_entropy", "mae")


def training_loss_of(name: str) -> LabelLoss:
    """The loss of training examples. Log-probabilities are logits, too: a softmax leaves them as they are."""
    return LOSSES.load(name)


def meta_loss_of(name: str) -> LabelLoss:
    """The loss of clean examples.

    Raises:
        UnknownName: neither "cross_entropy" nor "mae".
    """
    if name not in META_LOSSES:
        raise unknown_name("meta loss", name, META_LOSSES)
    return mean_absolute_error if name == "mae" else LOSSES.load(name)


def mean_absolute_error(
    log_probs: Float[Tensor, "*m b k"], given_labels: Int[Tensor, "*m b"]
) -> Float[Tensor, "*m b"]:
    r"""Per-example distance of probabilities and one-hot label, $\sum_j |e_{yj} - p_j| = 2 (1 - p_y)$.

    Source: Ghosh, Kumar & Sastry 2017, arXiv:1712.09482, Section 3.
    """
    return -2 * torch.expm1(log_probs.gather(-1, given_labels[..., None]).squeeze(-1))
