r"""Early-learning regularisation: predictions made before memorisation regularise later ones.

Every example has a running target $t \leftarrow \beta t + (1 - \beta) p$, which is part of the training
state; the loss is a pure function of it.

Source: Liu et al. 2020, arXiv:2007.00151, Section 4.2 (regulariser) and 4.3 (targets by temporal ensembling).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from noiseproof.losses.robust import cross_entropy

_LEAST_PROB = 1e-4  # as released: bounds the logarithm of the regulariser


def elr(
    log_probs: Float[Tensor, "*m b k"],
    given_labels: Int[Tensor, "*m b"],
    *,
    targets: Float[Tensor, "*m b k"],
    strength: float = 3.0,
) -> Float[Tensor, "*m b"]:
    r"""$-\ln p_y + \lambda \ln(1 - \langle p, t \rangle)$; can be negative, down to $\lambda \ln 10^{-4}$.

    Args:
        log_probs: of a head, rows sum to 1 as probabilities.
        given_labels: class ids in [0, k); may be wrong.
        targets: t of the same examples; without gradient.
        strength: lambda, >= 0; 0 is cross-entropy.

    Source: Liu et al. 2020, arXiv:2007.00151, Section 4.2.
    """
    agreement = (_bounded(log_probs) * targets).sum(-1)
    return cross_entropy(log_probs, given_labels) + strength * torch.log1p(-agreement)


@final
class EarlyLearningLoss:
    """`elr` of heads side by side, with the running targets of every example; zero before the first visit.

    The targets are part of a checkpoint.

    Args:
        num_examples: n; memory is m n k numbers of the type of the log-probabilities.
        momentum: beta, in [0, 1).
        strength: lambda, >= 0.
    """

    def __init__(self, num_examples: int, *, momentum: float, strength: float) -> None:
        self._num_examples, self._momentum, self._strength = num_examples, momentum, strength
        self._targets: Tensor | None = None

    def __call__(
        self, log_probs: Float[Tensor, "m vb k"], given_labels: Int[Tensor, "m vb"], rows: Int[Tensor, "m b"]
    ) -> Float[Tensor, "m vb"]:
        """The loss of each view, after the targets of its example are updated."""
        targets = self.updated(log_probs, rows)
        return elr(log_probs, given_labels, targets=targets, strength=self._strength)

    @torch.no_grad()
    def updated(
        self, log_probs: Float[Tensor, "m vb k"], rows: Int[Tensor, "m b"]
    ) -> Float[Tensor, "m vb k"]:
        """Update the targets of these examples and return them, once per view.

        Args:
            log_probs: of v views, one after the other; the target is updated with the mean of the views.
            rows: row numbers of the examples, each at most once.
        """
        m, vb, k = log_probs.shape
        b = rows.shape[1]
        num_views = vb // max(b, 1)
        if self._targets is None:
            self._targets = log_probs.new_zeros(m, self._num_examples, k)
        self._targets = self._targets.to(log_probs.device)  # a checkpoint is loaded to the CPU
        probs = _bounded(log_probs).view(m, num_views, b, k).mean(1)
        members = torch.arange(m, device=rows.device)[:, None]
        before = self._targets[members, rows]
        after = self._momentum * before + (1 - self._momentum) * probs / probs.sum(-1, keepdim=True)
        self._targets[members, rows] = after
        return after.repeat(1, num_views, 1)

    def facts(self) -> dict[str, float]:
        """Nothing for the log."""
        return {}

    def state_dict(self) -> dict[str, Tensor]:
        """The targets, for a checkpoint."""
        return {} if self._targets is None else {"targets": self._targets}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the targets of a checkpoint.

        Raises:
            RuntimeError: the number of examples differs.
        """
        targets = state.get("targets")
        if targets is not None and targets.shape[1] != self._num_examples:
            raise RuntimeError(f"targets of {targets.shape[1]} examples instead of {self._num_examples}")
        self._targets = targets


def _bounded(log_probs: Tensor) -> Tensor:
    return log_probs.exp().clamp(_LEAST_PROB, 1 - _LEAST_PROB)
