"""Batch normalisation in forward mode by its own fused kernels; torch takes it apart into many small steps.

In training, the Jacobian of the normalised values by the inputs is symmetric, so the tangent of the outputs
is what the backward kernel makes of the tangent of the inputs; scale and shift add one line.
"""

from __future__ import annotations

from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


@final
class _BatchNorm(torch.autograd.Function):
    r"""$y = \gamma \hat x + \beta$, $\dot y = \gamma J \dot x + \dot\gamma \hat x + \dot\beta$, $J = J^T$."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        return torch.native_batch_norm(x, weight, bias, None, None, True, 0.0, eps)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple) -> None:
        (x, weight, _, ctx.eps), (_, mean, inverse_std) = inputs, output
        ctx.save_for_forward(x, weight, mean, inverse_std)

    @staticmethod
    def jvp(ctx: Any, dx: Tensor, dweight: Tensor, dbias: Tensor, _: None) -> tuple[Tensor, Tensor, Tensor]:
        x, weight, mean, inverse_std = ctx.saved_tensors
        along = torch.ops.aten.native_batch_norm_backward(
            dx.contiguous(memory_format=_memory_format(x)), x, weight, None, None, mean, inverse_std, True,
            ctx.eps, [True, False, False],
        )[0]  # fmt: skip
        channels = [1, -1, *[1] * (x.dim() - 2)]
        slope, offset = dweight * inverse_std, dbias - mean * dweight * inverse_std
        along += x * slope.view(channels).to(x.dtype)
        along += offset.view(channels).to(x.dtype)
        return along, torch.zeros_like(mean), torch.zeros_like(inverse_std)


@final
class FusedBatchNorm(TorchFunctionMode):
    """While entered, batch normalisation in training is `_BatchNorm`; running statistics are not kept."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """See torch."""
        said = kwargs or {}
        if func is F.batch_norm and said.get("training") and said.get("weight") is not None:
            y, *_ = _BatchNorm.apply(args[0], said["weight"], said["bias"], said["eps"])
            return y
        return func(*args, **said)


def _memory_format(x: Tensor) -> torch.memory_format:
    is_last = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if is_last else torch.contiguous_format
