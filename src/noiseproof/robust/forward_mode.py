"""Fused batch normalisation in forward-mode differentiation; torch would use many small kernels.

In training, the Jacobian of the normalised values by the inputs is symmetric, so the tangent of the outputs
is the backward kernel applied to the tangent of the inputs; scale and shift add one line.
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
    """Context in which batch normalisation in training uses `_BatchNorm`, without running statistics."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Replace the call; the interface is that of torch."""
        options = kwargs or {}
        if func is F.batch_norm and options.get("training") and options.get("weight") is not None:
            y, *_ = _BatchNorm.apply(args[0], options["weight"], options["bias"], options["eps"])
            return y
        return func(*args, **options)


def _memory_format(x: Tensor) -> torch.memory_format:
    is_last = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if is_last else torch.contiguous_format
