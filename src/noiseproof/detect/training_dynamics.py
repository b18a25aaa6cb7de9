r"""What a head says of every label while it learns: margins, forgetting, losses.

Right labels are learned early and stay learned; of wrong ones the head wavers. Everything is recorded from
the batches of one training, so it costs nothing beside it.

Two linear heads are trained. Each is told that another n / (k + 1) examples, drawn at random, are of a class
k + 1 that does not exist: what their labels look like is what wrong labels look like. An example is judged by
the heads that saw its given label.

Source: Pleiss et al. 2020, arXiv:2001.10528, Eq. 1 (margin), Section 3.1 (threshold samples); Toneva et al.
2019, arXiv:1812.05159, Section 3 (forgetting).
Differs: linear heads on features instead of networks on images; what was a threshold sample in neither head
is judged by the mean of both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from noiseproof.core.rng import stream, torch_seed
from noiseproof.heads.estimators import LinearProbe
from noiseproof.heads.fit import StackBatch, TrainingExamples, fit_stack
from noiseproof.heads.modules import StackedHeads

_HEADS = 2
# More, and a head learns wrong labels by heart, too (dev/LOG.md: what was tried).
_EPOCHS, _LEAST_STEPS = 10, 200
# In a step of AdamW logits move by about so much, whatever the encoder, and weights shrink by this part.
_LOGIT_STEP, _SHRINKAGE = 0.25, 1e-3


@dataclass(frozen=True, eq=False)
class Dynamics:
    """What was recorded of n examples.

    Attributes:
        margin: logit of the given label less the largest other one, mean over the epochs (AUM).
        threshold: margin that 99 % of the threshold samples stay below.
        forgotten: how often an example that was predicted right in one epoch was not in the next.
        is_learned: whether it was ever predicted right.
        loss: cross-entropy of the given label, mean over the epochs, nats.
        scores: logits, mean over the epochs, without the class that does not exist.
    """

    margin: Float[np.ndarray, " n"]
    threshold: float
    forgotten: Float[np.ndarray, " n"]
    is_learned: Bool[np.ndarray, " n"]
    loss: Float[np.ndarray, " n"]
    scores: Float[np.ndarray, "n k"]


def training_dynamics(
    features: Float[np.ndarray, "n d"],
    given_labels: Int[np.ndarray, " n"],
    *,
    num_classes: int,
    seed: int,
    on_step: Callable[[int], object] | None = None,
) -> Dynamics:
    """Train the heads and look on.

    Args:
        features: of a frozen encoder.
        given_labels: class ids in [0, k).
        num_classes: k.
        seed: of the heads and the threshold samples.
        on_step: called after each step with the number of heads that took it.
    """
    n = len(given_labels)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    is_sample = torch.from_numpy(_threshold_samples(n, num_classes, seed)).to(device)
    labels = torch.from_numpy(given_labels.astype(np.int64)).to(device).expand(_HEADS, -1)
    labels = torch.where(is_sample, num_classes, labels)
    matrix = torch.from_numpy(np.require(features, np.float32, "W")).to(device)  # stored ones are read-only
    matrix = matrix / matrix.norm(dim=1).mean().clamp(min=torch.finfo(torch.float32).tiny)
    record = _Record(_HEADS, n, num_classes, device)

    def backward(heads: StackedHeads, batch: StackBatch) -> bool:
        batch_labels = labels.gather(1, batch.index)
        logits = heads(batch.features)[1]
        losses = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), batch_labels.flatten(), reduction="none"
        ).view_as(batch_labels)
        record.add(batch.index, logits.detach(), batch_labels, losses.detach())
        losses.mean(1).sum().backward()
        return True

    rate = _LOGIT_STEP / float(matrix.abs().sum(1).mean().clamp(min=1e-6))
    probe = LinearProbe(seed=seed, epochs=_EPOCHS, learning_rate=rate, weight_decay=_SHRINKAGE / rate).spec()
    first = replace(probe, training=replace(probe.training, min_steps=_LEAST_STEPS))
    specs = [replace(first, seed=torch_seed(seed, "dynamics", i)) for i in range(_HEADS)]
    fit_stack(specs, TrainingExamples((matrix,), labels[0], num_classes + 1), backward, on_step=on_step)
    return record.result(is_sample)


def _threshold_samples(n: int, num_classes: int, seed: int) -> Bool[np.ndarray, "2 n"]:
    """Which examples each head takes for the class that does not exist; at least one, and no one twice."""
    each = max(1, round(n / (num_classes + 1)))
    order = stream(seed, "dynamics", "threshold samples").permutation(n)
    is_sample = np.zeros((_HEADS, n), bool)
    for i in range(_HEADS):
        is_sample[i, order[i * each : (i + 1) * each]] = True
    return is_sample


class _Record:
    """Sums over the epochs, by head and example."""

    def __init__(self, num_heads: int, n: int, num_classes: int, device: torch.device) -> None:
        zeros = torch.zeros(num_heads, n, device=device)
        self.margin, self.loss, self.forgotten, self.seen = (zeros.clone() for _ in range(4))
        self.was_right, self.is_learned = zeros.bool(), zeros.bool()
        self.scores = torch.zeros(num_heads, n, num_classes, device=device)

    def add(
        self,
        rows: Int[Tensor, "m b"],
        logits: Float[Tensor, "m b c"],
        labels: Int[Tensor, "m b"],
        losses: Float[Tensor, "m b"],
    ) -> None:
        """What the heads said of a batch, before the step that it was part of."""
        margins = label_margins(logits, labels)
        is_right = margins > 0
        self.margin.scatter_add_(1, rows, margins)
        self.loss.scatter_add_(1, rows, losses)
        self.seen.scatter_add_(1, rows, torch.ones_like(losses))
        lost = self.was_right.gather(1, rows) & ~is_right
        self.forgotten.scatter_add_(1, rows, lost.to(losses.dtype))
        self.was_right.scatter_(1, rows, is_right)
        self.is_learned.scatter_(1, rows, self.is_learned.gather(1, rows) | is_right)
        width = self.scores.shape[-1]
        self.scores.scatter_add_(1, rows[..., None].expand(-1, -1, width), logits[..., :width])

    def result(self, is_sample: Bool[Tensor, "m n"]) -> Dynamics:
        """Means over the epochs, and over the heads that saw the given label."""
        margin, loss = self.margin / self.seen, self.loss / self.seen
        counts = (~is_sample).to(margin.dtype)

        def over_heads(values: Tensor) -> np.ndarray:
            return ((values * counts).sum(0) / counts.sum(0)).double().cpu().numpy()

        scores = (self.scores / self.seen[..., None] * counts[..., None]).sum(0) / counts.sum(0)[:, None]
        return Dynamics(
            margin=over_heads(margin),
            threshold=float(np.quantile(margin[is_sample].double().cpu().numpy(), 0.99)),
            forgotten=over_heads(self.forgotten),
            is_learned=(self.is_learned & ~is_sample).any(0).cpu().numpy(),
            loss=over_heads(loss),
            scores=scores.double().cpu().numpy(),
        )


def label_margins(logits: Float[Tensor, "m b c"], labels: Int[Tensor, "m b"]) -> Float[Tensor, "m b"]:
    """Logit of the label less the largest other one.

    Source: Pleiss et al. 2020, arXiv:2001.10528, Eq. 1.
    """
    own = logits.gather(-1, labels[..., None])
    others = logits.scatter(-1, labels[..., None], -torch.inf)
    return own.squeeze(-1) - others.amax(-1)
