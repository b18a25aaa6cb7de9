r"""Equations of DeFT's first phase: a positive and a negative prompt per class identify correct labels.

Wei et al. 2024, arXiv:2409.19696. With unit image features v, unit text directions t+ and t-, a scale s and
sg = stop-gradient: $z^+ = s\,v \cdot t^+$ and $z^- = s\,\mathrm{sg}(v) \cdot t^-$. A class counts as
correct if $\mathrm{sg}(z^+) > z^-$, so the negative prompt is a learned threshold.

There are two variants: `"synthetic"`, which the paper describes and uses for injected noise, and `"real"`,
which the released code uses for Clothing1M, WebVision and CIFAR-N. Gradients flow as published:
classification trains the positive prompts and the image encoder, the rest trains only the negative prompts.

`detect.prompts` learns prompts on stored features, `pipelines.deft.tower` with the image tower in the loop;
both use the functions below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import logsigmoid

from noiseproof.core.registry import unknown_name
from noiseproof.losses.robust import cross_entropy, sce
from noiseproof.losses.variants import VARIANTS

LEAST_PROB = 1e-5  # lower bound of probabilities in the two terms of the negative prompts
_SCE_CLAMP = math.log(1e-4)  # in place of ln 0, as released


@dataclass(frozen=True, eq=False)
class PromptLogits:
    """Logits of a batch of images for both prompts.

    Attributes:
        positive: $z^+$; carries gradients to the image features and the positive prompts.
        negative: $z^-$; carries gradients to the negative prompts only.
    """

    positive: Float[Tensor, "b k"]
    negative: Float[Tensor, "b k"]

    @property
    def log_odds(self) -> Float[Tensor, "b k"]:
        r"""$\ln (p_\mathrm{yes} / p_\mathrm{no}) = \mathrm{sg}(z^+) - z^-$ of each class."""
        return self.positive.detach() - self.negative


@dataclass(frozen=True)
class EpochRules:
    """Rules of an epoch.

    Attributes:
        is_warmup: classification uses all examples, not only the selected ones.
        is_relabelled: the negative prompts learn the most probable class of examples that are not selected.
    """

    is_warmup: bool
    is_relabelled: bool


@dataclass(frozen=True, eq=False)
class DualPromptLoss:
    """The loss of a batch, the sum of two terms.

    Attributes:
        classification: of the positive prompts; 0 if no example is selected.
        negative: of the negative prompts.
        is_clean: the selected examples.
    """

    classification: Float[Tensor, ""]
    negative: Float[Tensor, ""]
    is_clean: Bool[Tensor, " b"]

    @property
    def total(self) -> Float[Tensor, ""]:
        """The sum of both terms, which is minimised."""
        return self.classification + self.negative


def prompt_logits(
    features: Float[Tensor, "b e"],
    positive: Float[Tensor, "k e"],
    negative: Float[Tensor, "k e"],
    *,
    scale: float,
) -> PromptLogits:
    """Scaled cosines to both directions of each class.

    Args:
        features: of images, unit length.
        positive: directions t+, unit length.
        negative: directions t-, unit length.
        scale: s, > 0; about 100 in CLIP.
    """
    return PromptLogits(scale * features @ positive.mT, scale * features.detach() @ negative.mT)


def epoch_rules(variant: str, epoch: int, *, warmup_epochs: int) -> EpochRules:
    """The rules of an epoch.

    Args:
        variant: of `VARIANTS`.
        epoch: from 1.
        warmup_epochs: number of warm-up epochs.

    Source: as released; the real variant relabels from the second epoch on, even during a longer warm-up.
    """
    check_variant(variant)
    is_warmup = epoch <= warmup_epochs
    return EpochRules(is_warmup, is_relabelled=epoch >= 2 if variant == "real" else not is_warmup)


def selected(
    log_odds: Float[Tensor, "b k"], given_labels: Int[Tensor, " b"], *, variant: str
) -> Bool[Tensor, " b"]:
    r"""Select the given labels that count as correct: $p_\mathrm{yes} > 1/2$ for the given class.

    In the real variant $p_\mathrm{yes}$ of the given class must also be the largest of all classes.

    Args:
        log_odds: of `PromptLogits`.
        given_labels: class ids in [0, k); may be wrong.
        variant: of `VARIANTS`.

    Source: Wei et al. 2024, arXiv:2409.19696, Section 3.2; the second condition is from the released code.
    """
    check_variant(variant)
    is_believed = _of_class(log_odds, given_labels) > 0
    return is_believed & (log_odds.argmax(-1) == given_labels) if variant == "real" else is_believed


def dual_prompt_loss(
    logits: PromptLogits,
    given_labels: Int[Tensor, " b"],
    complementary: Int[Tensor, " b"],
    *,
    rules: EpochRules,
    variant: str,
) -> DualPromptLoss:
    r"""$L = L_\mathrm{cls} + L_\mathrm{neg}$ of a batch.

    $L_\mathrm{cls}$ is the mean cross-entropy of $z^+$: in the warm-up over all examples (real variant:
    symmetric cross-entropy with both weights 1), afterwards over the selected ones.
    $L_\mathrm{neg} = \overline{-\ln p_\mathrm{no}(c)} + \overline{-\ln p_\mathrm{yes}(\tilde y)}$ with a
    complementary label c; $\tilde y$ is the given label, or the most probable class if the rules relabel and
    the example is not selected.

    Args:
        logits: of `prompt_logits`.
        given_labels: class ids in [0, k); may be wrong.
        complementary: for each example a class other than the given one, see `complementary_labels`.
        rules: result of `epoch_rules`.
        variant: of `VARIANTS`.

    Source: Wei et al. 2024, arXiv:2409.19696, Section 3.2, and the released code for details.
    Differs: a batch without a selected example has classification loss 0 instead of NaN; computed from
    logarithms, so that large odds do not overflow; the reverse term of the real warm-up does not clamp p at
    1e-7.
    """
    log_odds = logits.log_odds
    is_clean = selected(log_odds.detach(), given_labels, variant=variant)
    most_probable = logits.positive.detach().argmax(-1)
    believed = given_labels.where(is_clean, most_probable) if rules.is_relabelled else given_labels
    negative = _mean_nll(-_of_class(log_odds, complementary)) + _mean_nll(_of_class(log_odds, believed))
    log_probs = logits.positive.log_softmax(-1)
    if rules.is_warmup and variant == "real":
        per_example = sce(log_probs, given_labels, alpha=1.0, beta=1.0, clamp=_SCE_CLAMP)
    else:
        per_example = cross_entropy(log_probs, given_labels)
    counted = is_clean.logical_or(is_clean.new_tensor(rules.is_warmup))
    # Multiplying by 0 would turn an infinite loss of an excluded example into NaN.
    total = per_example.where(counted, per_example.new_zeros(())).sum()
    return DualPromptLoss(total / counted.sum().clamp_min(1), negative, is_clean)


def complementary_labels(
    given_labels: Int[np.ndarray, " b"], *, num_classes: int, rng: np.random.Generator
) -> Int[np.ndarray, " b"]:
    """For each example a random class other than the given one, uniform; drawn anew at each visit.

    Args:
        given_labels: class ids in [0, k).
        num_classes: k >= 2.
        rng: source of the draw.
    """
    return (given_labels + rng.integers(1, num_classes, size=len(given_labels))) % num_classes


def check_variant(variant: str) -> None:
    """Raise `UnknownName` unless it is one of `VARIANTS`."""
    if variant not in VARIANTS:
        raise unknown_name("variant", variant, VARIANTS)


def _mean_nll(log_odds: Float[Tensor, " b"]) -> Float[Tensor, ""]:
    """Mean -ln p with p clamped, also for the gradient."""
    return -logsigmoid(log_odds).clamp_min(math.log(LEAST_PROB)).mean()


def _of_class(values: Float[Tensor, "b k"], classes: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
    return values.gather(-1, classes[:, None]).squeeze(-1)
