"""Networks of m heads side by side: a leading axis of m members, each with its own batch.

Notation: m members, b batch, d feature dim, h hidden dim, k classes. A single head has m = 1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "tanh": torch.tanh,
    "identity": lambda x: x,
}


@dataclass(frozen=True)
class Architecture:
    """Shape of a head; heads of equal shape can be stacked into one module.

    Attributes:
        hidden_layers: hidden layers of the reshaping MLP; 0 is a linear probe.
        hidden_ratio: hidden width as a multiple of d.
        activation: name in `ACTIVATIONS`.
        use_batch_norm: batch normalisation before each activation.
        use_residual: z = scale * MLP(f) + f, with a learnable scale per feature, instead of MLP(f).
        residual_scale: initial value of that scale.
        dropout: share of hidden units dropped in training, in [0, 1).
        least_hidden: lower bound of the hidden width.
    """

    hidden_layers: int = 1
    hidden_ratio: float = 4.0
    activation: str = "relu"
    use_batch_norm: bool = False
    use_residual: bool = False
    residual_scale: float = 1.0
    dropout: float = 0.0
    least_hidden: int = 1


class StackedLinear(nn.Module):
    """m linear layers side by side: x_i W_i^T + b_i."""

    def __init__(
        self, num_in: int, num_out: int, *, generators: Sequence[torch.Generator], gain: float
    ) -> None:
        super().__init__()
        bound = gain / math.sqrt(num_in)
        self.weight = nn.Parameter(_uniform((num_out, num_in), bound, generators))
        self.bias = nn.Parameter(_uniform((num_out,), bound, generators))

    def forward(self, x: Float[Tensor, "m b i"]) -> Float[Tensor, "m b o"]:
        """Apply each member's layer to its own batch."""
        if len(x) == 1:  # one plain product is faster on a CPU than a batch of one
            return F.linear(x[0], self.weight[0], self.bias[0])[None]
        return torch.baddbmm(self.bias[:, None], x, self.weight.mT)


class StackedBatchNorm(nn.Module):
    """m batch normalisations side by side (Ioffe & Szegedy 2015, Algorithm 1), with the defaults of torch."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_members: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_members, dim))
        self.bias = nn.Parameter(torch.zeros(num_members, dim))
        self.register_buffer("running_mean", torch.zeros(num_members, dim))
        self.register_buffer("running_var", torch.ones(num_members, dim))

    def forward(self, x: Float[Tensor, "m b i"]) -> Float[Tensor, "m b i"]:
        """Normalised by the batch in training, by running statistics otherwise."""
        m, b, i = x.shape
        # Members become channels, so that one kernel of torch normalises all of them.
        flat = F.batch_norm(
            x.transpose(0, 1).reshape(b, m * i),
            self.running_mean.view(-1),
            self.running_var.view(-1),
            self.weight.view(-1),
            self.bias.view(-1),
            training=self.training and b > 1,
        )
        return flat.view(b, m, i).transpose(0, 1)


class Reshape(nn.Module):
    """The reshaping MLP: [Linear -> (BatchNorm) -> activation -> (dropout)] x layers -> Linear."""

    def __init__(
        self, dim: int, architecture: Architecture, *, generators: Sequence[torch.Generator]
    ) -> None:
        super().__init__()
        hidden = max(architecture.least_hidden, round(architecture.hidden_ratio * dim))
        widths = [dim] + [hidden] * architecture.hidden_layers
        self.activation = ACTIVATIONS[architecture.activation]
        self.dropout = architecture.dropout
        self.generators = generators
        self.hidden = nn.ModuleList(
            StackedLinear(i, o, generators=generators, gain=1.0) for i, o in itertools.pairwise(widths)
        )
        self.norms = nn.ModuleList(
            StackedBatchNorm(len(generators), hidden) for _ in self.hidden if architecture.use_batch_norm
        )
        self.out = StackedLinear(hidden, dim, generators=generators, gain=1.0)
        self.scale = None
        if architecture.use_residual:
            self.scale = nn.Parameter(
                torch.full((len(generators), 1, dim), float(architecture.residual_scale))
            )

    def forward(self, features: Float[Tensor, "m b d"]) -> Float[Tensor, "m b d"]:
        """Reshaped features z."""
        x = features
        for index, linear in enumerate(self.hidden):
            x = linear(x)
            if self.norms:
                x = self.norms[index](x)
            x = self.activation(x)
            if self.training and self.dropout > 0:
                x = x * self._mask(x)
        x = self.out(x)
        return x if self.scale is None else self.scale * x + features

    def _mask(self, x: Tensor) -> Tensor:
        # One generator per member: the masks of a head do not depend on the other heads.
        draws = [torch.rand(x.shape[1:], generator=g, device=g.device) for g in self.generators]
        return (torch.stack(draws).to(x.device) >= self.dropout).to(x.dtype) / (1 - self.dropout)


class StackedHeads(nn.Module):
    """m heads side by side: reshaped features z and logits; without hidden layers z equals the features.

    Args:
        dim: d.
        num_classes: k.
        architecture: shape of all members.
        generators: one per member; they draw initial weights and dropout masks.
    """

    def __init__(
        self, dim: int, num_classes: int, architecture: Architecture, *, generators: Sequence[torch.Generator]
    ) -> None:
        super().__init__()
        self.reshape = (
            Reshape(dim, architecture, generators=generators) if architecture.hidden_layers else nn.Identity()
        )
        # Uniform in +-sqrt(6 / d) with zero bias, as released for all heads of paper 1.
        # A single output is a score: it starts at 0, the mean of the scores, which heads learn standardised.
        gain = math.sqrt(6) if num_classes > 1 else 0.0
        self.classify = StackedLinear(dim, num_classes, generators=generators, gain=gain)
        nn.init.zeros_(self.classify.bias)

    def forward(
        self, features: Float[Tensor, "m b d"]
    ) -> tuple[Float[Tensor, "m b d"], Float[Tensor, "m b k"]]:
        """Reshaped features z and logits."""
        reshaped = self.reshape(features)
        return reshaped, self.classify(reshaped)


def _uniform(shape: tuple[int, ...], bound: float, generators: Sequence[torch.Generator]) -> Tensor:
    draws = [torch.empty(shape).uniform_(-bound, bound, generator=g) for g in generators]
    return torch.stack(draws)
