r"""Exact derivative of the loss on clean examples by the share of each training example, in first order.

Notation: w parameters, $L(w) = \sum_i u_i l_i(w)$ the loss of a training batch with shares u,
$\hat w = w - \eta \nabla L(w)$ the virtual step, M the mean loss of the meta batch, $g = \nabla M(\hat w)$.
Since $\hat w$ depends on u_i through $-\eta\, u_i \nabla l_i(w)$ alone,

$\partial M(\hat w) / \partial u_i = -\eta \langle \nabla l_i(w), g \rangle$,

and all n inner products are a single directional derivative: $\mathrm{d} l_i(w + t g) / \mathrm{d} t$ at t =
0.

Source: Shu et al. 2019, arXiv:1902.07379, Eq. 3-5 and the analysis in Section 2.3, which has the inner
products; forward-mode differentiation is Baydin et al. 2018, arXiv:1502.05767, Section 3.1.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import final

import torch
import torch.autograd.forward_ad as forward_ad
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from noiseproof.core.rng import rewound, torch_state
from noiseproof.heads.modules import Reshape, StackedHeads, StackedLinear
from noiseproof.robust.forward_mode import FusedBatchNorm
from noiseproof.training.batches import Batch

LossPerExample = Callable[[nn.Module, Batch], Float[Tensor, " n"]]


@final
class _Losses(nn.Module):
    """A loss per example as a module, so that a call can use other parameters."""

    def __init__(self, model: nn.Module, losses: LossPerExample) -> None:
        super().__init__()
        self.model, self._losses = model, losses

    def forward(self, batch: Batch) -> Float[Tensor, " n"]:
        return self._losses(self.model, batch)


@final
class NetworkStep:
    """One training batch and one meta batch through any network.

    The first forward pass updates running statistics, and its graph serves the virtual step and the caller's
    real step. The other two passes use copies, with the same dropout masks.

    Args:
        model: in training mode.
        batch: of training examples.
        losses: (model, batch) -> loss per example.

    Attributes:
        losses: of the training batch, with their autograd graph.
    """

    def __init__(self, model: nn.Module, batch: Batch, losses: LossPerExample) -> None:
        self._model, self._batch = model, batch
        self._calls = _Losses(model, losses)
        self._drawn = torch_state()
        self.losses = self._calls(batch)

    def slopes(
        self, shares: Float[Tensor, " n"], meta_batch: Batch, meta_losses: LossPerExample, *, rate: float
    ) -> Float[Tensor, " n"]:
        """Derivative of the meta loss with respect to each share.

        Args:
            shares: u, detached.
            meta_batch: clean examples.
            meta_losses: like `losses`, for the meta batch.
            rate: eta, learning rate of the virtual step.
        """
        moving = {name: each for name, each in self._calls.named_parameters() if each.requires_grad}
        gradients = torch.autograd.grad(
            self.losses, list(moving.values()), grad_outputs=shares.to(self.losses.dtype),
            retain_graph=True, materialize_grads=True,
        )  # fmt: skip
        moved = {
            name: (each.detach() - rate * gradient).requires_grad_()
            for (name, each), gradient in zip(moving.items(), gradients, strict=True)
        }
        meta_loss = functional_call(
            _Losses(self._model, meta_losses), moved | self._buffers(), (meta_batch,)
        ).mean()
        direction = torch.autograd.grad(meta_loss, list(moved.values()), materialize_grads=True)
        return -rate * self._along(dict(zip(moving, direction, strict=True)))

    def backward(self, shares: Float[Tensor, " n"]) -> None:
        """Gradients of the real step, from the graph of the first forward pass."""
        (shares * self.losses).sum().backward()

    def _along(self, direction: dict[str, Tensor]) -> Float[Tensor, " n"]:
        """The directional derivative of each training loss, in one forward-mode pass."""
        _load_forward_mode()
        own = dict(self._calls.named_parameters())
        with (
            torch.no_grad(),
            forward_ad.dual_level(),
            rewound(*self._drawn),
            sdpa_kernel(SDPBackend.MATH),  # the fused kernels have no forward mode
            FusedBatchNorm(),
        ):
            dual = {name: forward_ad.make_dual(own[name].detach(), each) for name, each in direction.items()}
            losses = functional_call(self._calls, dual | self._buffers(), (self._batch,))
            tangent = forward_ad.unpack_dual(losses).tangent
            return torch.zeros_like(losses) if tangent is None else tangent.detach()

    def _buffers(self) -> dict[str, Tensor]:
        return {name: each.clone() for name, each in self._calls.named_buffers()}


@cache
def _load_forward_mode() -> None:
    """Load forward mode without the warning of torch about its own use of TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import torch._decomp.decompositions_for_jvp  # noqa: F401


@final
@dataclass(frozen=True, eq=False)
class _Layer:
    r"""Inputs and output derivatives of one linear layer for the training batch.

    The gradient of an example is d_i a_i^T, so neither the virtual step nor an inner product needs a tensor
    of the size of the weights: $x \hat W^T = x W^T - \eta (x a^T)(u d)$, and with the meta batch's x and e,
    $\langle d_i a_i^T, \sum_j e_j x_j^T \rangle = \sum_j (d_i \cdot e_j)(a_i \cdot x_j)$. The bias is an
    input that is always 1. With few outputs, weights are smaller than the products x a^T.

    Attributes:
        inputs: a.
        deltas: d, derivative of each example's loss by the outputs of the layer.
        change: eta u d.
    """

    inputs: Float[Tensor, "n i"]
    deltas: Float[Tensor, "n o"]
    change: Float[Tensor, "n o"]

    def moved(self, x: Float[Tensor, "m i"], outputs: Float[Tensor, "m o"]) -> Float[Tensor, "m o"]:
        """Outputs after the virtual step, from outputs before it."""
        if self._is_narrow(x):
            return outputs - F.linear(x, self.change.mT @ self.inputs, self.change.sum(0))
        return outputs - (x @ self.inputs.mT + 1) @ self.change

    def products(self, x: Float[Tensor, "m i"], pulls: Float[Tensor, "m o"]) -> Float[Tensor, " n"]:
        """Inner products of each example's gradient with that of the meta batch; `pulls` is e."""
        if self._is_narrow(x):
            return (F.linear(self.inputs, pulls.mT @ x, pulls.sum(0)) * self.deltas).sum(1)
        return ((self.inputs @ x.mT + 1) * (self.deltas @ pulls.mT)).sum(1)

    def _is_narrow(self, x: Tensor) -> bool:
        (n, i), o, m = self.inputs.shape, self.deltas.shape[1], len(x)
        return (3 * n + 2 * m) * i * o < 2 * n * m * (i + o)


@final
class DenseStep:
    """`NetworkStep` for a head without interaction between examples, from products of activations.

    It needs no virtual gradient, no moved copy of the parameters, no gradient of the meta loss by the
    parameters and no forward-mode pass.

    Args:
        head: with one member; `is_dense` must hold.
        batch, losses: as in `NetworkStep`.
    """

    def __init__(self, head: StackedHeads, batch: Batch, losses: LossPerExample) -> None:
        self._head = head
        self._inputs: list[Tensor] = []
        self._outputs: list[Tensor] = []
        with _hooked(head, self._record):
            values = losses(head, batch)
        self._deltas = [each[0] for each in torch.autograd.grad(values.sum(), self._outputs)]
        self.losses = values.detach()

    def slopes(
        self, shares: Float[Tensor, " n"], meta_batch: Batch, meta_losses: LossPerExample, *, rate: float
    ) -> Float[Tensor, " n"]:
        """See `NetworkStep.slopes`."""
        factors = rate * shares[:, None]
        layers = [_Layer(a, d, factors * d) for a, d in zip(self._inputs, self._deltas, strict=True)]
        inputs: list[Tensor] = []
        outputs: list[Tensor] = []

        def move(place: int, x: Tensor, z: Tensor) -> Tensor:
            inputs.append(x[0].detach())
            outputs.append(layers[place].moved(x[0], z[0]))
            return outputs[-1][None]

        with _hooked(self._head, move):
            meta_loss = meta_losses(self._head, meta_batch).mean()
        pulls = torch.autograd.grad(meta_loss, outputs)
        products = [layer.products(*seen) for *seen, layer in zip(inputs, pulls, layers, strict=True)]
        return -rate * sum(products[1:], products[0])

    def backward(self, shares: Float[Tensor, " n"]) -> None:
        """See `NetworkStep.backward`; the derivatives by the outputs of the layers exist already."""
        for layer, inputs, deltas in zip(
            _linear_layers(self._head), self._inputs, self._deltas, strict=True
        ):  # fmt: skip
            pulls = shares[:, None] * deltas
            layer.weight.grad, layer.bias.grad = (pulls.mT @ inputs)[None], pulls.sum(0)[None]

    def _record(self, _: int, inputs: Tensor, outputs: Tensor) -> None:
        self._inputs.append(inputs[0].detach())
        self._outputs.append(outputs)


def is_dense(head: StackedHeads) -> bool:
    """Whether `DenseStep` is exact: only linear layers have parameters, and examples do not interact."""
    return not isinstance(head.reshape, Reshape) or (not head.reshape.norms and head.reshape.scale is None)


@contextmanager
def _hooked(head: StackedHeads, hook: Callable[[int, Tensor, Tensor], object]) -> Iterator[None]:
    """Call `hook(place, input, output)` after each linear layer; a returned value replaces the output."""

    def call(place: int, _: nn.Module, inputs: tuple[Tensor, ...], outputs: Tensor) -> object:
        return hook(place, inputs[0], outputs)

    with ExitStack() as handles:
        for place, layer in enumerate(_linear_layers(head)):
            handles.enter_context(layer.register_forward_hook(partial(call, place)))
        yield


def _linear_layers(head: StackedHeads) -> list[StackedLinear]:
    return [each for each in head.modules() if isinstance(each, StackedLinear)]
