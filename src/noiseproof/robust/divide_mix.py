"""DivideMix on features: a mixture model finds wrong labels, and predictions of two heads replace them."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from noiseproof.core.checks import Range, check_arguments
from noiseproof.core.rng import stream, torch_seed
from noiseproof.core.row_blocks import row_blocks
from noiseproof.heads.abstract import AbstractClassifier
from noiseproof.heads.fit import StackBatch, TrainingExamples, fit_stack
from noiseproof.heads.modules import StackedHeads
from noiseproof.losses.batch import PerExampleLoss
from noiseproof.posterior.mixture import fit_mixture
from noiseproof.robust.abstract_robust import AbstractRobustHead, weights_in

_BLOCK_ROWS = 4096  # divided at once, so that memory does not grow with n
_RANGES = {
    "warmup_epochs": Range(1.0, is_whole=True),
    "ramp_epochs": Range(1.0, is_whole=True),
    "threshold": Range(0.0, 1.0, excludes_low=True, excludes_high=True),
    "temperature": Range(1e-6, 1.0),
    "alpha": Range(1e-6),
    "unlabelled_weight": Range(0.0),
    "penalty_weight": Range(0.0),
}


@final
@dataclass(eq=False, repr=False)
class DivideMix(AbstractRobustHead):
    r"""Two heads; each divides the examples for the other head, which then learns semi-supervised.

    After a warm-up on the given labels, each epoch fits two Gaussians to a head's losses; w_i is the
    probability that example i belongs to the component with the smaller mean. Where w_i > `threshold`, the
    other head's target is $w_i y_i + (1 - w_i) p_i$; elsewhere the mean of both heads' probabilities; both
    sharpened, $t_c^{1/T} / \sum_j t_j^{1/T}$. Features and targets are mixed within the batch with a share
    $\lambda' = \max(\lambda, 1 - \lambda)$, $\lambda$ ~ Beta(alpha, alpha). The loss is cross-entropy on rows
    with labels, `unlabelled_weight` times the mean squared error on the others, and `penalty_weight` times
    $\sum_c \pi_c \ln(\pi_c / \bar p_c)$ with a uniform prior.

    Weights of examples multiply both losses, and are mixed as features and targets are: $\lambda' s_i +
    (1 - \lambda') s_j$. The two Gaussians are fitted to losses without them, since w_i is a statement about
    one label and not about how much it counts; the last term is of the batch as a whole. So an example of
    small weight still counts through the rows that it is mixed into; only a weight of 0 takes it out.

    Args:
        head: head to train, twice, with its options; a `LinearProbe` by default.
        warmup_epochs: epochs on the given labels.
        ramp_epochs: epochs of the linear rise of the weight of unlabelled rows.
        threshold: of w, in (0, 1).
        temperature: T, in [1e-6, 1].
        alpha: of the Beta distribution, at least 1e-6.
        unlabelled_weight: published values are 0 to 150, depending on the data set.
        penalty_weight: published value 1.

    Attributes:
        clean_probability_: (n,) mean of both w, in [0, 1], at the last division; 1 if training ended
            within the warm-up; NaN for examples of weight 0.

    Source: Li, Socher & Hoi 2020, arXiv:2002.07394, Algorithm 1 and Eq. 3-12.
    Differs: features instead of images, so there is one view and no augmentation; each batch is divided,
    instead of drawing a labelled and an unlabelled batch of equal size, so each term has the weight of its
    rows; both heads are updated at every step, instead of in alternate epochs; the warm-up has no confidence
    penalty, which the paper uses for asymmetric noise; the paper has no weights of examples.
    """

    kind: ClassVar[str] = "divide_mix"
    head: AbstractClassifier | None = None
    _: KW_ONLY
    warmup_epochs: int = 2
    ramp_epochs: int = 4
    threshold: float = 0.5
    temperature: float = 0.5
    alpha: float = 4.0
    unlabelled_weight: float = 25.0
    penalty_weight: float = 1.0
    clean_probability_: Float[np.ndarray, " n"] = field(init=False)

    def check_options(self) -> None:
        """Raise `InvalidArgument` if an option is out of range."""
        check_arguments(self.get_params(deep=False), _RANGES)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> DivideMix:
        """Train on features, given labels and weights of examples, as `LinearProbe.fit` takes them."""
        inputs = self._checked_inputs(X, y, sample_weight)
        run = _DivideMixRun(self, inputs.examples(), inputs.spec.seed, inputs.loss())
        self._with_heads(inputs, fit_stack(inputs.specs(2), run.examples, run.backward))
        self.clean_probability_ = inputs.for_all(run.clean.mean(0).cpu().numpy())
        return self


@final
@dataclass(eq=False)
class _DivideMixRun:
    """The steps of one fit."""

    options: DivideMix
    examples: TrainingExamples
    seed: int
    loss: PerExampleLoss
    clean: Float[Tensor, "2 n"] = field(init=False)

    def __post_init__(self) -> None:
        self._epoch = 0
        self._rng = stream(self.seed, "mixing")
        labels = self.examples.given_labels
        self.clean = torch.ones(2, len(labels), device=labels.device)

    def backward(self, heads: StackedHeads, batch: StackBatch) -> bool:
        rows = batch.index[0]  # both heads use the same batch
        features = self.examples.views[0][rows].expand(2, -1, -1)
        labels = self.examples.given_labels[rows]
        weights = weights_in(self.examples, rows)
        late = batch.epoch - self.options.warmup_epochs
        if late < 0:
            losses = self.loss(torch.log_softmax(heads(features)[1], -1), labels.expand(2, -1))
            (weights * losses).mean(1).sum().backward()
            return True
        if batch.epoch != self._epoch:
            self._epoch = batch.epoch
            self.clean = self._divide(heads)
        clean = self.clean[:, rows]
        targets = refine_targets(
            _predicted(heads, features).exp(), labels, clean,
            threshold=self.options.threshold, temperature=self.options.temperature,
        )  # fmt: skip
        weight = self.options.unlabelled_weight * min((late + 1) / self.options.ramp_epochs, 1)
        mixed, mixed_targets, weights = self._mixed(features, targets, weights)
        is_labelled = clean > self.options.threshold
        log_probs = torch.log_softmax(heads(mixed)[1], -1)
        losses = semi_supervised_losses(log_probs, mixed_targets, is_labelled, unlabelled_weight=weight)
        loss = (weights * losses).mean(1)
        (loss + self.options.penalty_weight * imbalance(log_probs)).sum().backward()
        return True

    def _divide(self, heads: StackedHeads) -> Float[Tensor, "2 n"]:
        """For each head, the probability by the other head that each label is correct."""
        features, labels = self.examples.views[0], self.examples.given_labels
        found = [
            self.loss(_predicted(heads, features[part].expand(2, -1, -1)), labels[part].expand(2, -1))
            for part in row_blocks(len(labels), _BLOCK_ROWS)
        ]
        losses = torch.cat(found, 1)
        seed = torch_seed(self.seed, "division", self._epoch)
        each = [fit_mixture(row, seed=seed).clean for row in losses.double().cpu().numpy()]
        return torch.from_numpy(np.stack(each)).to(labels.device, torch.float32).flip(0)

    def _mixed(
        self, features: Tensor, targets: Tensor, weights: Tensor | float
    ) -> tuple[Tensor, Tensor, Tensor | float]:
        share = float(self._rng.beta(self.options.alpha, self.options.alpha))
        share = max(share, 1 - share)
        partner = torch.from_numpy(self._rng.permutation(features.shape[1])).to(features.device)
        first = share * features + (1 - share) * features[:, partner]
        if isinstance(weights, Tensor):  # equal ones stay what they are
            weights = weights + (1 - share) * (weights[partner] - weights)
        return first, share * targets + (1 - share) * targets[:, partner], weights


@torch.no_grad()
def _predicted(heads: StackedHeads, features: Float[Tensor, "2 b d"]) -> Float[Tensor, "2 b k"]:
    """Log-probabilities in evaluation mode; running statistics do not change."""
    heads.eval()
    log_probs = torch.log_softmax(heads(features)[1], -1)
    heads.train()
    return log_probs


def refine_targets(
    probs: Float[Tensor, "2 b k"],
    given_labels: Tensor,
    clean: Float[Tensor, "2 b"],
    *,
    threshold: float,
    temperature: float,
) -> Float[Tensor, "2 b k"]:
    """Targets of each head: refined given labels if probably correct, else the mean prediction of both heads.

    Source: Li, Socher & Hoi 2020, arXiv:2002.07394, Eq. 3, 4 and Section 3.2.
    """
    one_hot = torch.nn.functional.one_hot(given_labels, probs.shape[-1]).to(probs.dtype)
    share = clean[..., None]
    refined = share * one_hot + (1 - share) * probs
    targets = torch.where(share > threshold, refined, probs.mean(0, keepdim=True))
    log_odds = targets.log()  # powers of small numbers would underflow to 0 / 0
    return torch.softmax((log_odds - log_odds.amax(-1, keepdim=True)) / temperature, -1)


def semi_supervised_losses(
    log_probs: Float[Tensor, "2 b k"],
    targets: Float[Tensor, "2 b k"],
    is_labelled: Tensor,
    *,
    unlabelled_weight: float,
) -> Float[Tensor, "2 b"]:
    """Cross-entropy of labelled rows, weighted squared error (mean over classes) of the others.

    Source: Li, Socher & Hoi 2020, arXiv:2002.07394, Eq. 9 and 10.
    """
    supervised = -(targets * log_probs).sum(-1)
    squared = (log_probs.exp() - targets).square().mean(-1)
    return torch.where(is_labelled, supervised, unlabelled_weight * squared)


def imbalance(log_probs: Float[Tensor, "2 b k"]) -> Float[Tensor, " 2"]:
    r"""$\sum_c \pi_c \ln(\pi_c / \bar p_c)$ with a uniform prior, against predicting one class for all.

    Source: Li, Socher & Hoi 2020, arXiv:2002.07394, Eq. 11.
    """
    num_rows, num_classes = log_probs.shape[1:]
    log_mean = torch.logsumexp(log_probs, 1) - math.log(num_rows)
    return -math.log(num_classes) - log_mean.mean(-1)
