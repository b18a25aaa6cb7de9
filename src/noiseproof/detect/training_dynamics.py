r"""Training dynamics of every label: margins, forgetting events and losses while a head learns.

Correct labels are learned early and stay learned; predictions for wrong ones waver. Everything is recorded
from the batches of one training, at no extra cost.

Two linear heads are trained. For each, n / (k + 1) random examples, different ones for each head, get the
label of an extra class k + 1 ("threshold samples"): these labels are certainly wrong, so they show how wrong
labels behave. An example is scored by the heads that saw its given label.

Source: Pleiss et al. 2020, arXiv:2001.10528, Eq. 1 (margin), Section 3.1 (threshold samples); Toneva et al.
2019, arXiv:1812.05159, Section 3 (forgetting).
Differs: linear heads on features instead of networks on images; an example that was a threshold sample in
neither head gets the mean of both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from noiseproof.core.rng import stream, torch_seed
from noiseproof.detect.row_reader import RowReader
from noiseproof.heads.estimators import LinearProbe
from noiseproof.heads.fit import StackBatch, TrainingExamples, fit_stack
from noiseproof.heads.modules import StackedHeads

_HEADS = 2
# With more epochs a head also memorises wrong labels (dev/LOG.md lists the trials).
_EPOCHS, _LEAST_STEPS = 10, 200
# One AdamW step moves logits by about this much, for any encoder, and shrinks weights by this share.
_LOGIT_STEP, _SHRINKAGE = 0.25, 1e-3


@dataclass(frozen=True, eq=False)
class Dynamics:
    """Records of n examples.

    Attributes:
        margin: logit of the given label minus the largest other logit, mean over the epochs (AUM).
        threshold: 99th percentile of the margins of the threshold samples.
        forgotten: forgetting events: predicted as the given label in one epoch and not in the next.
        is_learned: whether the given label was ever predicted.
        loss: cross-entropy of the given label, mean over the epochs, nats.
        scores: logits, mean over the epochs, without the extra class.
    """

    margin: Float[np.ndarray, " n"]
    threshold: float
    forgotten: Float[np.ndarray, " n"]
    is_learned: Bool[np.ndarray, " n"]
    loss: Float[np.ndarray, " n"]
    scores: Float[np.ndarray, "n k"]


def training_dynamics(
    features: Any, given_labels: Int[np.ndarray, " n"], *, num_classes: int, seed: int
) -> Dynamics:
    """Train two heads and record what they predict.

    Args:
        features: (n, d) from a frozen encoder, array-like, sliced by rows.
        given_labels: class ids in [0, k).
        num_classes: k.
        seed: of the heads and the threshold samples.
    """
    n = len(given_labels)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    is_sample = torch.from_numpy(_threshold_samples(n, num_classes, seed)).to(device)
    labels = torch.from_numpy(given_labels.astype(np.int64)).to(device).expand(_HEADS, -1)
    labels = torch.where(is_sample, num_classes, labels)
    rows = _of_mean_length_1(features)
    matrix = rows if device.type == "cpu" else torch.cat(list(rows.blocks())).to(device)
    recorder = _Recorder(_HEADS, n, num_classes, device)

    def backward(heads: StackedHeads, batch: StackBatch) -> bool:
        batch_labels = labels.gather(1, batch.index)
        logits = heads(batch.features)[1]
        losses = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), batch_labels.flatten(), reduction="none"
        ).view_as(batch_labels)
        recorder.add(batch.index, logits.detach(), batch_labels, losses.detach())
        losses.mean(1).sum().backward()
        return True

    sums = torch.cat([torch.linalg.vector_norm(block, ord=1, dim=1) for block in rows.blocks()])
    rate = _LOGIT_STEP / float(sums.mean().clamp(min=1e-6))
    probe = LinearProbe(seed=seed, epochs=_EPOCHS, learning_rate=rate, weight_decay=_SHRINKAGE / rate).spec()
    first = replace(probe, training=replace(probe.training, min_steps=_LEAST_STEPS))
    specs = [replace(first, seed=torch_seed(seed, "dynamics", i)) for i in range(_HEADS)]
    fit_stack(specs, TrainingExamples((matrix,), labels[0], num_classes + 1), backward)
    return recorder.result(is_sample)


def _of_mean_length_1(features: Any) -> RowReader:
    lengths = torch.cat([block.norm(dim=1) for block in RowReader(features, lambda rows: rows).blocks()])
    length = lengths.mean().clamp(min=torch.finfo(torch.float32).tiny)
    return RowReader(features, lambda rows: rows / length)


def _threshold_samples(n: int, num_classes: int, seed: int) -> Bool[np.ndarray, "2 n"]:
    """Examples with the label of the extra class, for each head: at least one, none for both heads."""
    each = max(1, round(n / (num_classes + 1)))
    order = stream(seed, "dynamics", "threshold samples").permutation(n)
    is_sample = np.zeros((_HEADS, n), bool)
    for i in range(_HEADS):
        is_sample[i, order[i * each : (i + 1) * each]] = True
    return is_sample


class _Recorder:
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
        """Add the predictions for a batch, made before the step on it."""
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
        """Means over the epochs and over the heads that saw the given label."""
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
    """Logit of the label minus the largest other logit.

    Source: Pleiss et al. 2020, arXiv:2001.10528, Eq. 1.
    """
    own = logits.gather(-1, labels[..., None])
    others = logits.scatter(-1, labels[..., None], -torch.inf)
    return own.squeeze(-1) - others.amax(-1)
