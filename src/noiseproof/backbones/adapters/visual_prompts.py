"""Visual prompt tuning: tokens that are learned stand beside the patches."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from noiseproof.backbones.adapters.tower_layout import Tower

LENGTH = 20  # tokens, as in DeFT's experiments


class PromptTokens(nn.Module):
    """Tokens that are appended to what a block sees, and taken off behind it or a later block.

    Both are hooks of the blocks, so the tower's own modules and names stay as they are.

    Args:
        tokens: first values.
        is_batch_first: whether blocks see (b, t, d) and not (t, b, d).
    """

    def __init__(self, tokens: Float[Tensor, "p d"], *, is_batch_first: bool = True) -> None:
        super().__init__()
        self.tokens = nn.Parameter(tokens)
        self._axis = 1 if is_batch_first else 0

    def append(self, block: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """A forward pre-hook: (b, t, d) -> (b, t + p, d)."""
        del block
        seen, *others = args
        tokens = self.tokens.to(seen.dtype).unsqueeze(1 - self._axis)
        shape = (len(seen), -1, -1) if self._axis == 1 else (-1, seen.shape[1], -1)
        return torch.cat([seen, tokens.expand(shape)], dim=self._axis), *others

    def drop(self, block: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        """A forward hook: (b, t + p, d) -> (b, t, d)."""
        del block, args
        if isinstance(output, tuple):  # blocks of older transformers
            return self._shortened(output[0]), *output[1:]
        return self._shortened(output)

    def _shortened(self, rows: Tensor) -> Tensor:
        return rows.narrow(self._axis, 0, rows.shape[self._axis] - len(self.tokens))


def add_prompts(tower: Tower, length: int, *, is_deep: bool) -> nn.Module:
    r"""Prompts of their own for each block (deep), or of the first block, which pass through all (shallow).

    Deep: $x_{i} = L_i([x_{i-1}, P_{i-1}])$ without its last p rows, so the prompts of a block are dropped
    behind it and replaced at the next. Their first values are uniform in
    $[-\sqrt{6 / (3 s^2 + d)}, \sqrt{6 / (3 s^2 + d)}]$ for patches of s pixels.

    Args:
        tower: gets hooks.
        length: p, tokens of each place.
        is_deep: whether each block has its own.

    Returns:
        What learns.

    Source: Jia et al. 2022, arXiv:2203.12119, Eqs. (4)-(7), and the bound of their released code.
    Differs: tokens stand behind the patches, as in DeFT (Wei et al. 2024, arXiv:2409.19696), which changes
    nothing as attention has no order; no dropout; pooling never sees them.
    """
    bound = math.sqrt(6 / (3 * tower.patch_px**2 + tower.width))
    parts = nn.ModuleList()
    for first in range(len(tower.blocks) if is_deep else 1):
        last = first if is_deep else len(tower.blocks) - 1
        tokens = tower.like.new_empty(length, tower.width).uniform_(-bound, bound)
        prompts = PromptTokens(tokens, is_batch_first=tower.is_batch_first)
        tower.blocks[first].register_forward_pre_hook(prompts.append)
        tower.blocks[last].register_forward_hook(prompts.drop)
        parts.append(prompts)
    return parts
