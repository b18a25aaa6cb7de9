"""The published formulation of paper 1's head training, written from its description, to compare with.

Explicit d x d covariance, full singular value decomposition with vectors, plain AdamW. The equations are
those of `specs`: Chen, Wang et al. 2024, arXiv:2309.17002, Eqs. 3-6; none of the authors' code is used.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
