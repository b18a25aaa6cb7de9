"""Co-teaching: two heads select examples for each other."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from noiseproof.core.checks import Range, check_arguments
from noiseproof.detect.find_issues import find_label_issues
from noiseproof.heads.abstract import AbstractClassifier
from noiseproof.heads.fit import StackBatch, fit_stack
from noiseproof.heads.modules import StackedHeads
from noiseproof.robust.abstract_robust import AbstractRobustHead, FitInputs, weights_in

_RANGES = {
    "forget_rate": Range(0.0, 1.0, excludes_high=True),
    "ramp_epochs": Range(1.0, is_whole=True),
}


@final
@dataclass(eq=False, repr=False)
class CoTeaching(AbstractRobustHead):
    r"""Each of two heads learns from the examples of a batch that have a small loss for the other head.

    In epoch t = 1, 2, ... the share $1 - \tau \min(t / t_k, 1)$ of each batch is kept. Weights of examples
    multiply the loss of those that were selected. The selection goes by the loss without them: whether a
    label is probably right does not depend on how much its example counts.

    Args:
        head: head to train, twice, with its options; a `LinearProbe` by default.
        forget_rate: tau, share of wrong labels, in [0, 1); `None` takes the share that `find_label_issues`
            flags.
        ramp_epochs: t_k, epochs until the full share is left out.

    Attributes:
        forget_rate_: tau that was used.

    Source: Han et al. 2018, arXiv:1804.06872, Algorithm 1.
    """

    kind: ClassVar[str] = "co_teaching"
    head: AbstractClassifier | None = None
    _: KW_ONLY
    forget_rate: float | None = None
    ramp_epochs: int = 4
    forget_rate_: float = field(init=False)

    def check_options(self) -> None:
        """Raise `InvalidArgument` if an option is out of range."""
        check_arguments(self.get_params(deep=False), _RANGES, may_be_none=("forget_rate",))

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> CoTeaching:
        """Train on features, given labels and weights of examples, as `LinearProbe.fit` takes them."""
        inputs = self._checked_inputs(X, y, sample_weight)
        self.forget_rate_ = self._rate(inputs)
        loss, examples = inputs.loss(), inputs.examples()

        def backward(heads: StackedHeads, batch: StackBatch) -> bool:
            features = batch.features[:1].expand(2, -1, -1)  # both see the same batch
            labels = batch.given_labels[:1].expand(2, -1)
            losses = loss(torch.log_softmax(heads(features)[1], -1), labels)
            share = 1 - self.forget_rate_ * min((batch.epoch + 1) / self.ramp_epochs, 1)
            selected = selected_by_other_head(losses.detach(), share)
            weighted = weights_in(examples, batch.index[0]) * losses
            weighted.gather(1, selected).mean(1).sum().backward()
            return True

        return self._with_heads(inputs, fit_stack(inputs.specs(2), examples, backward))

    def _rate(self, inputs: FitInputs) -> float:
        if self.forget_rate is not None:
            return float(self.forget_rate)
        return float(find_label_issues(inputs.features, inputs.encoded).is_issue.mean())


def selected_by_other_head(losses: Float[Tensor, "2 b"], share: float) -> Int[Tensor, "2 c"]:
    """Positions in the batch that each head learns from: those with the least loss for the other head.

    Args:
        losses: of each head.
        share: selected share of the batch, at least one example.
    """
    number = max(1, round(share * losses.shape[1]))
    return losses.argsort(1)[:, :number].flip(0)
