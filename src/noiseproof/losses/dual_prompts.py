r"""DeFT's first phase: a positive and a negative prompt per class say which given labels are right.

Wei et al. 2024, arXiv:2409.19696. With unit image features v, unit text directions t+ and t-, a scale s and
sg = stop-gradient: $z^+ = s\,v \cdot t^+$ and $z^- = s\,\mathrm{sg}(v) \cdot t^-$. A class is believed where
$\mathrm{sg}(z^+) > z^-$, so the negative prompt is a threshold that is learned.

There are two variants: `"synthetic"`, which the paper describes and its experiments with injected noise use,
and `"real"`, which the released code has for Clothing1M, WebVision and CIFAR-N. Gradients flow as published:
classification trains the positive prompts and whatever made v, the rest trains the negative prompts alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import logsigmoid

from noiseproof.core.registry import unknown_name
from noiseproof.losses.robust import cross_entropy, sce

Variant = Literal["synthetic", "real"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
LEAST_PROB = 1e-5  # of the two terms of the negative prompts
_SCE_CLAMP = math.log(1e-4)  # in place of ln 0, as released


@dataclass(frozen=True, eq=False)
class PromptLogits:
    """What both prompts say of some images.

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
class Stage:
    """What an epoch does.

    Attributes:
        is_warmup: all examples are learned, not the selected only.
        is_relabelled: the negative prompts are told the likeliest class of examples that are not selected.
    """

    is_warmup: bool
    is_relabelled: bool


@dataclass(frozen=True, eq=False)
class DualPromptLoss:
    """The loss of a batch; its two terms weigh the same.

    Attributes:
        classification: of the positive prompts; 0 where nothing is selected.
        negative: of the negative prompts.
        is_clean: the selection it was made with.
    """

    classification: Float[Tensor, ""]
    negative: Float[Tensor, ""]
    is_clean: Bool[Tensor, " b"]

    @property
    def total(self) -> Float[Tensor, ""]:
        """What is minimised."""
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


def stage_of(variant: str, epoch: int, *, warmup_epochs: int) -> Stage:
    """What this epoch does.

    Args:
        variant: of `VARIANTS`.
        epoch: from 1.
        warmup_epochs: at the beginning.

    Source: as released; in the real variant the second epoch begins to relabel, however long the warm-up is.
    """
    check_variant(variant)
    is_warmup = epoch <= warmup_epochs
    return Stage(is_warmup, is_relabelled=epoch >= 2 if variant == "real" else not is_warmup)


def selected(
    log_odds: Float[Tensor, "b k"], given_labels: Int[Tensor, " b"], *, variant: str
) -> Bool[Tensor, " b"]:
    r"""Which given labels count as right: $p_\mathrm{yes} > 1/2$ for the given class.

    The real variant also wants the given class to be the one with the largest $p_\mathrm{yes}$.

    Args:
        log_odds: of `PromptLogits`.
        given_labels: class ids in [0, k); may be wrong.
        variant: of `VARIANTS`.

    Source: Wei et al. 2024, arXiv:2409.19696, Section 3.2; the second condition is of the released code.
    """
    check_variant(variant)
    is_believed = _of_class(log_odds, given_labels) > 0
    return is_believed & (log_odds.argmax(-1) == given_labels) if variant == "real" else is_believed


def dual_prompt_loss(
    logits: PromptLogits,
    given_labels: Int[Tensor, " b"],
    complementary: Int[Tensor, " b"],
    *,
    stage: Stage,
    variant: str,
) -> DualPromptLoss:
    r"""$L = L_\mathrm{cls} + L_\mathrm{neg}$ of a batch.

    $L_\mathrm{cls}$ is the mean cross-entropy of $z^+$: in the warm-up over all examples (real variant:
    symmetric cross-entropy with both weights 1), afterwards over the selected.
    $L_\mathrm{neg} = \overline{-\ln p_\mathrm{no}(c)} + \overline{-\ln p_\mathrm{yes}(\tilde y)}$ with a
    complementary label c, and as $\tilde y$ the given label, or the likeliest class where the stage relabels
    and the example is not selected.

    Args:
        logits: of `prompt_logits`.
        given_labels: class ids in [0, k); may be wrong.
        complementary: a class per example that is not the given one, see `complementary_labels`.
        stage: of `stage_of`.
        variant: of `VARIANTS`.

    Source: Wei et al. 2024, arXiv:2409.19696, Section 3.2, and the released code where it says more.
    Differs: a batch without a selected example costs 0 instead of NaN; from logarithms, so that no odds are
    too large; the reverse term of the real warm-up does not clamp p at 1e-7.
    """
    log_odds = logits.log_odds
    is_clean = selected(log_odds.detach(), given_labels, variant=variant)
    likeliest = logits.positive.detach().argmax(-1)
    believed = given_labels.where(is_clean, likeliest) if stage.is_relabelled else given_labels
    negative = _surprise(-_of_class(log_odds, complementary)) + _surprise(_of_class(log_odds, believed))
    log_probs = logits.positive.log_softmax(-1)
    if stage.is_warmup and variant == "real":
        per_example = sce(log_probs, given_labels, alpha=1.0, beta=1.0, clamp=_SCE_CLAMP)
    else:
        per_example = cross_entropy(log_probs, given_labels)
    counted = is_clean.logical_or(is_clean.new_tensor(stage.is_warmup))
    # Multiplying would let the infinite loss of one that is left out through.
    total = per_example.where(counted, per_example.new_zeros(())).sum()
    return DualPromptLoss(total / counted.sum().clamp_min(1), negative, is_clean)


def complementary_labels(
    given_labels: Int[np.ndarray, " b"], *, num_classes: int, rng: np.random.Generator
) -> Int[np.ndarray, " b"]:
    """A class per example, uniform over those that are not the given one; drawn anew at each visit.

    Args:
        given_labels: class ids in [0, k).
        num_classes: k >= 2.
        rng: of the draw.
    """
    return (given_labels + rng.integers(1, num_classes, size=len(given_labels))) % num_classes


def check_variant(variant: str) -> None:
    """Raise `UnknownName` unless it is one of `VARIANTS`."""
    if variant not in VARIANTS:
        raise unknown_name("variant", variant, VARIANTS)


def _surprise(log_odds: Float[Tensor, " b"]) -> Float[Tensor, ""]:
    """Mean -ln p with p clamped, which also ends the gradient there."""
    return -logsigmoid(log_odds).clamp_min(math.log(LEAST_PROB)).mean()


def _of_class(values: Float[Tensor, "b k"], classes: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
    return values.gather(-1, classes[:, None]).squeeze(-1)
