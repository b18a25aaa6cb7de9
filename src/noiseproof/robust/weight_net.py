"""V, the network that maps the loss of an example to its weight, and the training of V.

Notation: l_i loss of example i, v_i = sigmoid(V(l_i)) its weight in (0, 1), u_i its share of the batch's
loss: v_i / n, or v_i / sum v if weights are normalised. The batch's loss is sum_i u_i l_i.

Source: Shu et al. 2019, arXiv:1902.07379, Section 2 (V is 1-100-1 with a sigmoid).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from noiseproof.backbones.checkpoints.weights import under_prefix
from noiseproof.core.checks import Range, check_arguments
from noiseproof.core.registry import unknown_name
from noiseproof.core.rng import isolated
from noiseproof.training.checkpoint import optimizer_state, restore_optimizer

META_OPTIMIZERS = ("adam", "sgd")
_NUM_BINS = 10
_RANGES = {
    "learning_rate of V": Range(0.0, excludes_low=True),
    "weight_decay of V": Range(0.0),
    "num_hidden": Range(1.0, is_whole=True),
    "update_every": Range(1.0, is_whole=True),
}
_COUNTERS = ("num_steps", "num_skipped_steps", "num_skipped_updates")


@dataclass(frozen=True)
class WeightNetOptions:
    """Options of V and its optimiser: Adam in the authors' code, SGD with Nesterov momentum 0.9 in paper 2.

    Attributes:
        optimizer: "adam" or "sgd".
        learning_rate: of V, constant.
        weight_decay: of V, added to the gradient.
        normalise: divide the weights of a batch by their sum, as in an older version of the authors' code.
        num_hidden: hidden width of V.
        update_every: number of steps per update of V.
        seed: of V's initial weights.
    """

    optimizer: str = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    normalise: bool = False
    num_hidden: int = 100
    update_every: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.optimizer not in META_OPTIMIZERS:
            raise unknown_name("meta optimizer", str(self.optimizer), META_OPTIMIZERS)
        values = vars(self) | {f"{name} of V": value for name, value in vars(self).items()}
        check_arguments(values, _RANGES)


@final
class WeightNet(nn.Module):
    """V without its sigmoid: from the loss of an example to the log-odds of its weight."""

    def __init__(self, num_hidden: int = 100, *, seed: int = 0) -> None:
        super().__init__()
        with isolated(seed, "weight net"):
            self.hidden = nn.Linear(1, num_hidden)
            self.out = nn.Linear(num_hidden, 1)

    def forward(self, losses: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Log-odds of the weight of each example."""
        return self.out(torch.relu(self.hidden(losses[:, None])))[:, 0]


@final
class ExampleWeighter:
    """Weights the examples of each batch with V, trains V, and keeps its optimiser, counters and log.

    Args:
        options: of V.
        device: where the losses are.

    Attributes:
        net: V.
        num_steps: batches weighted so far.
        num_skipped_steps: batches in which all weights were zero.
        num_skipped_updates: updates of V that were skipped because the gradient was not finite.
    """

    def __init__(self, options: WeightNetOptions, *, device: torch.device | str = "cpu") -> None:
        self.options = options
        self.net = WeightNet(options.num_hidden, seed=options.seed).to(device)
        self.optimizer = _optimizer(self.net, options)
        self.num_steps = self.num_skipped_steps = self.num_skipped_updates = 0
        self._weights: Tensor = torch.empty(0)
        self._gradient_norm = 0.0

    @property
    def is_turn(self) -> bool:
        """Whether V is updated in this step."""
        return self.num_steps % self.options.update_every == 0

    def shares(self, losses: Float[Tensor, " n"]) -> Float[Tensor, " n"] | None:
        """Share of each example in this step's loss; `None` if all weights are zero and the step is skipped.

        Args:
            losses: detached, nats.
        """
        self.num_steps += 1
        with torch.no_grad():
            log_odds = self.net(losses)
            self._weights = torch.sigmoid(log_odds)
            if not self._weights.any():
                self.num_skipped_steps += 1
                return None
            return self._shares(log_odds)

    def learn(
        self,
        losses: Float[Tensor, " n"],
        slopes: Callable[[Float[Tensor, " n"]], Float[Tensor, " n"]],
    ) -> None:
        """Update V once.

        Args:
            losses: detached, nats.
            slopes: shares -> derivative of the meta loss with respect to each share.
        """
        shares = self._shares(self.net(losses))
        parameters = list(self.net.parameters())
        gradients = torch.autograd.grad(shares, parameters, grad_outputs=slopes(shares.detach()))
        norm = float(torch.cat([each.flatten() for each in gradients]).norm())
        if not math.isfinite(norm):  # V would never recover
            self.num_skipped_updates += 1
            return
        self._gradient_norm = norm
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()

    def weights(self, losses: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Current weights v in (0, 1)."""
        with torch.no_grad():
            return torch.sigmoid(self.net(losses))

    def _shares(self, log_odds: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        if self.options.normalise:  # in logarithms, so that an underflow does not divide by zero
            return torch.softmax(F.logsigmoid(log_odds), 0)
        return torch.sigmoid(log_odds) / len(log_odds)

    def facts(self) -> dict[str, Any]:
        """Mean and histogram of the last weights, gradient norm of V, and the counters."""
        weights = self._weights.float().cpu()
        return {
            "mean_weight": round(float(weights.mean()), 6) if len(weights) else None,
            "weight_histogram": [int(each) for each in torch.histc(weights, _NUM_BINS, 0, 1)],
            "weight_gradient_norm": self._gradient_norm,
            "skipped_steps": self.num_skipped_steps,
            "skipped_updates": self.num_skipped_updates,
        }

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that the next step depends on, for a checkpoint."""
        moments, _ = optimizer_state(self.optimizer)
        counters = torch.tensor([getattr(self, name) for name in _COUNTERS])
        net = {f"net/{name}": value for name, value in self.net.state_dict().items()}
        return (
            net | {f"optimizer/{place}": value for place, value in moments.items()} | {"counters": counters}
        )

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state of a checkpoint.

        Raises:
            RuntimeError: the state does not fit V.
        """
        self.net.load_state_dict(under_prefix(state, "net/"))
        moments = {place: value.clone() for place, value in under_prefix(state, "optimizer/").items()}
        restore_optimizer(self.optimizer, moments)
        for name, value in zip(_COUNTERS, state["counters"].tolist(), strict=True):
            setattr(self, name, value)


def _optimizer(net: nn.Module, options: WeightNetOptions) -> torch.optim.Optimizer:
    if options.optimizer == "adam":
        return torch.optim.Adam(
            net.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay, fused=True
        )
    return torch.optim.SGD(
        net.parameters(), lr=options.learning_rate, momentum=0.9, nesterov=True,
        weight_decay=options.weight_decay,
    )  # fmt: skip
