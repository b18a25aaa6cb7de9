"""Adapters: a small bottleneck behind each MLP of a transformer."""

from __future__ import annotations

import math
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from noiseproof.backbones.adapters.tower_layout import Tower

WIDTH = 64


class Adapter(nn.Module):
    r"""$h \mapsto h + W_2\,\mathrm{ReLU}(W_1\,\mathrm{LN}(h))$ on the output of an MLP, as a hook of it.

    $W_2$ starts from zero, so the network is the same at first.

    Source: Houlsby et al. 2019, arXiv:1902.00751, Section 2.1 and Figure 2; $W_1$ and $W_2$ start as in
    AdaptFormer (Chen et al. 2022, arXiv:2205.13535, Section 3.2).
    Differs: a norm before, and none behind the attention, as in DeFT (Wei et al. 2024, arXiv:2409.19696).
    """

    def __init__(self, width: int, bottleneck: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.down = nn.Linear(width, bottleneck)
        self.activation = nn.ReLU()
        self.up = nn.Linear(bottleneck, width)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, rows: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """The rows that are added."""
        return self.up(self.activation(self.down(self.norm(rows))))

    def add(self, mlp: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        """A forward hook."""
        del mlp, args
        return output + self(output)


def add_adapters(tower: Tower, bottleneck: int) -> nn.Module:
    """An adapter inside the residual branch of each MLP.

    Returns:
        What learns.
    """
    parts = nn.ModuleList()
    for mlp in tower.mlps:
        adapter = Adapter(tower.width, bottleneck).to(tower.like)
        mlp.register_forward_hook(adapter.add)
        parts.append(adapter)
    return parts
