"""Per-example classification losses, by name."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from noiseproof.registry import Registry

LOSSES = Registry("loss", {"cross_entropy": "noiseproof.losses.classification:cross_entropy"})


def cross_entropy(
    logits: Float[Tensor, "*m b k"], given_labels: Int[Tensor, "*m b"]
) -> Float[Tensor, "*m b"]:
    r"""Per-example cross-entropy, $-\ln p_y$ with p = softmax(logits).

    Args:
        logits: unnormalised scores.
        given_labels: class ids in [0, k); may be wrong.

    Returns:
        Unreduced loss, >= 0, nats.
    """
    log_probs = torch.log_softmax(logits, -1)
    return -log_probs.gather(-1, given_labels[..., None]).squeeze(-1)
