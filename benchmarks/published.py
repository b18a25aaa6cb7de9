"""Published formulations, written from their descriptions, to compare with: paper 1's head training, and
the step of Meta-Weight-Net.

Explicit d x d covariance, full singular value decomposition with vectors, plain AdamW. The equations are
those of `specs`: Chen, Wang et al. 2024, arXiv:2309.17002, Eqs. 3-6; none of the authors' code is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call


class PublishedHead(nn.Module):
    """Two-layer MLP of hidden width 4 d, then a linear classifier."""

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.ReLU(), nn.Linear(4 * dim, dim))
        self.classify = nn.Linear(dim, num_classes)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        reshaped = self.mlp(features)
        return reshaped, self.classify(reshaped)


def published_loss(
    features: Tensor, reshaped: Tensor, logits: Tensor, labels: Tensor, *, weight: float
) -> Tensor:
    """Eq. 6 with its terms spelt out."""
    b, d = reshaped.shape
    mse = (F.normalize(features, dim=1) - F.normalize(reshaped, dim=1)).square().sum(1).mean()
    centred = reshaped - reshaped.mean(0)
    covariance = centred.T @ centred / (b - 1)
    off_diagonal = covariance.flatten()[:-1].view(d - 1, d + 1)[:, 1:]
    _, s, _ = torch.linalg.svd(reshaped, full_matrices=False)
    return (
        F.cross_entropy(logits, labels)
        + weight * mse
        + weight * off_diagonal.square().sum() / d
        - weight * s[0] / s.sum()
    )


def published_step(
    head: PublishedHead, optimizer: torch.optim.Optimizer, features: Tensor, labels: Tensor, *, weight: float
) -> None:
    """One optimiser step."""
    reshaped, logits = head(features)
    if weight:
        loss = published_loss(features, reshaped, logits, labels, weight=weight)
    else:
        loss = F.cross_entropy(logits, labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def published_meta_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    weight_net: nn.Module,
    meta_optimizer: torch.optim.Optimizer,
    losses: Callable[[nn.Module, Any], Tensor],
    batch: Any,
    meta_batch: Any,
    *,
    rate: float,
) -> None:
    """A step of Meta-Weight-Net as published: a graph of second order, and the training batch twice.

    Source: Shu et al. 2019, arXiv:1902.07379, Algorithm 1; the released code differentiates through the
    virtual step in the same way.
    """
    caller = _Losses(model, losses)
    parameters = dict(caller.named_parameters())
    buffers = {name: each.clone() for name, each in caller.named_buffers()}
    first = functional_call(caller, parameters | buffers, (batch,))
    weighted = (torch.sigmoid(weight_net(first.detach())) * first).mean()
    gradients = torch.autograd.grad(weighted, list(parameters.values()), create_graph=True)
    moved = {
        name: each - rate * gradient
        for (name, each), gradient in zip(parameters.items(), gradients, strict=True)
    }
    meta_loss = functional_call(caller, moved | buffers, (meta_batch,)).mean()
    weights = list(weight_net.parameters())
    for each, gradient in zip(weights, torch.autograd.grad(meta_loss, weights), strict=True):
        each.grad = gradient
    meta_optimizer.step()
    again = losses(model, batch)
    (torch.sigmoid(weight_net(again.detach())).detach() * again).mean().backward()
    optimizer.step()
    optimizer.zero_grad()


class _Losses(nn.Module):
    def __init__(self, model: nn.Module, losses: Callable[[nn.Module, Any], Tensor]) -> None:
        super().__init__()
        self.model, self._losses = model, losses

    def forward(self, batch: Any) -> Tensor:
        return self._losses(self.model, batch)
