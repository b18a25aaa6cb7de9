r"""Meta-Weight-Net for whole networks: learned weights of training examples lower the loss on clean ones.

One step, as published: a virtual step with the current weights of V, the meta loss after it, a step of V
along its gradient (`meta_gradient` has the closed form), then the real step with the weights of the updated
V.

Source: Shu et al. 2019, arXiv:1902.07379, Algorithm 1.
Differs: the real step reuses the losses of the first forward pass, because the parameters are the same.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from noiseproof.core.checks import Range, check_arguments
from noiseproof.core.errors import invalid
from noiseproof.core.registry import unknown_name
from noiseproof.losses.batch import PerExampleLoss
from noiseproof.losses.losses import LOSSES
from noiseproof.losses.robust import cross_entropy
from noiseproof.robust.meta_gradient import LossPerExample, NetworkStep
from noiseproof.robust.weight_net import ExampleWeighter, WeightNetOptions
from noiseproof.training.batches import AbstractBatches, Batch
from noiseproof.training.order import Share

META_LOSSES = ("cross_entropy", "mae")


@final
class MetaWeightLoss:
    """The loss of a step, for `training.loop.train`; give the same object to its `stateful`.

    V, its optimiser and the counters are part of the checkpoint, and a meta batch depends only on the step
    number, so an interrupted training resumes exactly. With `accumulation`, each part of a batch is weighted
    separately.

    Args:
        meta_batches: clean examples, as `images` and `given_labels`; check them with `check_meta_set`.
        inner_rate: learning rate of the virtual step: a number (paper 2: 0.1), or a function called at each
            step, e.g. `current_rate(optimizer)` (the authors' code).
        loss: of the training examples, the input of V; see `losses.batch.per_example_loss`.
        meta_loss: "cross_entropy" or "mae".
        options: of V.
        device: of the model.

    Raises:
        UnknownName: the meta loss does not exist.
        InvalidArgument: `inner_rate` is not positive, or several processes train together.
    """

    def __init__(
        self,
        meta_batches: AbstractBatches,
        *,
        inner_rate: float | Callable[[], float],
        loss: PerExampleLoss = cross_entropy,
        meta_loss: str = "cross_entropy",
        options: WeightNetOptions | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        if not callable(inner_rate):
            check_arguments({"inner_rate": inner_rate}, {"inner_rate": Range(0.0, excludes_low=True)})
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            world = torch.distributed.get_world_size()
            if world > 1:
                raise invalid("processes", world, "1: each process would learn weights of its own")
        self.weighter = ExampleWeighter(options or WeightNetOptions(), device=device)
        self._meta_batches, self._inner_rate, self._device = meta_batches, inner_rate, device
        self._losses = _per_example(loss)
        self._meta_losses = _per_example(meta_loss_of(meta_loss))
        self._iterator: Iterator[Batch] | None = None

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        """The weighted loss; if all weights are zero it has no gradient, and the step is skipped."""
        step = NetworkStep(model, batch, self._losses)
        losses = step.losses.detach().float()
        if self.weighter.is_turn:
            rate = float(self._inner_rate() if callable(self._inner_rate) else self._inner_rate)
            meta_batch = self._next_meta_batch()
            self.weighter.learn(
                losses, lambda shares: step.slopes(shares, meta_batch, self._meta_losses, rate=rate)
            )
        shares = self.weighter.shares(losses)
        if shares is None:
            return torch.zeros((), device=losses.device)
        return (shares * step.losses).sum()

    def _next_meta_batch(self) -> Batch:
        if self._iterator is None:  # only now, because a checkpoint may have set the step
            begin = self.weighter.num_steps // self.weighter.options.update_every
            self._iterator = self._meta_batches.iterate(range(begin, sys.maxsize), Share())
        return {name: value.to(self._device) for name, value in next(self._iterator).items()}

    def facts(self) -> dict[str, Any]:
        """See `training.checkpoint.Stateful`."""
        return self.weighter.facts()

    def state_dict(self) -> dict[str, Tensor]:
        """See `training.checkpoint.Stateful`."""
        return self.weighter.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """See `training.checkpoint.Stateful`."""
        self.weighter.load_state_dict(state)
        self._iterator = None


def current_rate(optimizer: torch.optim.Optimizer) -> Callable[[], float]:
    """The current learning rate of the optimiser, as an inner rate."""
    return lambda: float(optimizer.param_groups[0]["lr"])


def meta_loss_of(name: str) -> PerExampleLoss:
    """The loss of clean examples by name.

    Raises:
        UnknownName: the name is not in `META_LOSSES`.
    """
    if name not in META_LOSSES:
        raise unknown_name("meta loss", str(name), META_LOSSES)
    return LOSSES.load(name)


def _per_example(loss: PerExampleLoss) -> LossPerExample:
    def losses(model: nn.Module, batch: Batch) -> Tensor:
        return loss(torch.log_softmax(model(batch["images"]), -1), batch["given_labels"].long())

    return losses
