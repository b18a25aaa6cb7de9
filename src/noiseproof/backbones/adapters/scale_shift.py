"""Scales and shifts of a frozen network's layers (SSF), which merge into its weights afterwards."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from noiseproof.backbones.adapters.tower_layout import Tower

_STD = 0.02


class Scale(nn.Module):
    """A factor for each output of a layer, applied to its weights.

    Args:
        outputs: a vector as long as there are outputs, for device and type.
    """

    def __init__(self, outputs: Tensor) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty_like(outputs).normal_(1.0, _STD))

    def forward(self, weight: Tensor) -> Tensor:
        """The scaled matrix, filters or vector."""
        return weight * self.scale.view(-1, *[1] * (weight.ndim - 1))


class Shift(nn.Module):
    """A summand for each output of a layer, applied to its bias after the factor."""

    def __init__(self, scale: Scale) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.empty_like(scale.scale).normal_(0.0, _STD))
        self._of = (scale,)  # inside a tuple, since the factor is a parameter of the weights, not of this

    def forward(self, bias: Tensor) -> Tensor:
        """The scaled and shifted bias."""
        return bias * self._of[0].scale + self.shift


def add_scale_shift(tower: Tower) -> None:
    r"""$y = \gamma \odot (W x + b) + \beta$ for the layers of the tower, with gamma and beta to be learned.

    That is a layer with weights $\gamma \odot W$ and bias $\gamma \odot b + \beta$, and is computed so. First
    values are of N(1, 0.02^2) and N(0, 0.02^2).

    Args:
        tower: its layers are parametrised in place. Transformers: in and out of attention and MLP;
            convolutional networks: behind every norm.

    Source: Lian et al. 2022, arXiv:2210.08823, Eqs. (2)-(4).
    Differs: as in DeFT (Wei et al. 2024, arXiv:2409.19696) the norms of transformers are left alone; a layer
    without bias is scaled only.
    """
    for affine in tower.affines:
        weight: Tensor = getattr(affine.module, affine.weight).detach()
        scale = Scale(weight.reshape(len(weight), -1)[:, 0])
        parametrize.register_parametrization(affine.module, affine.weight, scale)
        if affine.bias is not None:
            parametrize.register_parametrization(affine.module, affine.bias, Shift(scale))
