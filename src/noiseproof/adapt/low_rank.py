"""Low-rank additions to the matrices of a frozen network (LoRA), which merge into its weights afterwards."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from noiseproof.core.errors import missing_extra
from noiseproof.core.rng import isolated

_POOL = "open_clip.modified_resnet.AttentionPool2d"


class LowRank(nn.Module):
    r"""$W + \frac{\alpha}{r} B A$ of a matrix that its module reads instead of calling a layer.

    Args:
        weight: W.
        rank: r.
        alpha: numerator of the factor.
    """

    def __init__(self, weight: Float[Tensor, "o i"], *, rank: int, alpha: int) -> None:
        super().__init__()
        self.lora_A = nn.Parameter(weight.new_empty(rank, weight.shape[1]))
        self.lora_B = nn.Parameter(weight.new_zeros(len(weight), rank))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        self._factor = alpha / rank

    def forward(self, weight: Float[Tensor, "o i"]) -> Float[Tensor, "o i"]:
        """The sum."""
        return weight + self._factor * (self.lora_B @ self.lora_A)


def add_low_rank(network: Any, *, without: Collection[nn.Module], rank: int, alpha: int, seed: int) -> None:
    r"""Freeze a network and add $\frac{\alpha}{r} B A$ to every matrix and ungrouped filter.

    Through peft, but for torch's attention: that reads its matrices, of queries, keys and values together and
    of outputs, where peft would merge and divide again in every step.

    Args:
        network: changed in place.
        without: layers that stay as they are, e.g. the classifier.
        rank: r.
        alpha: numerator of the factor.
        seed: of the first values of A; B starts from zero.

    Raises:
        MissingExtra: peft is not installed.

    Source: Hu et al. 2021, arXiv:2106.09685v2, Section 4.1.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ModuleNotFoundError as error:
        raise missing_extra(error.name or "peft", "adapt", "`tune` = 'lora'") from error
    attentions = [part for part in network.modules() if isinstance(part, nn.MultiheadAttention)]
    read = {id(part) for attention in _readers(network) for part in attention.modules()}
    names = [
        name
        for name, part in network.named_modules()
        if not any(part is each for each in without)
        and id(part) not in read
        and (isinstance(part, nn.Linear) or (isinstance(part, nn.Conv2d) and part.groups == 1))
    ]
    targets = "|".join(map(re.escape, names))  # as one expression, since names in a list match as endings
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=targets)
    with isolated(seed, "init", "lora"):
        inject_adapter_in_model(config, network)
        for attention in attentions:
            for module, name in ((attention, "in_proj_weight"), (attention.out_proj, "weight")):
                module.requires_grad_(False)
                weight = getattr(module, name).detach()
                parametrize.register_parametrization(module, name, LowRank(weight, rank=rank, alpha=alpha))


def _readers(network: nn.Module) -> list[nn.Module]:
    """Modules that read the weights of their layers, so that another layer in their place does nothing."""
    return [
        part
        for part in network.modules()
        if isinstance(part, nn.MultiheadAttention)
        or f"{type(part).__module__}.{type(part).__name__}" == _POOL
    ]
