"""DeFT's first phase on features that are there already: two learned prompts per class find the wrong labels.

Only the prompts learn, so that the image encoder runs once, before, and an epoch costs little more than the
text of its steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from noiseproof.core.checks import Range, check_label_range, check_ranges
from noiseproof.core.errors import invalid
from noiseproof.core.rng import stream, torch_seed
from noiseproof.detect.evidence import Evidence
from noiseproof.detect.opinion import Opinion, by_decision
from noiseproof.detect.text_tower import TextTower, check_shared_space, unit_rows
from noiseproof.losses.dual_prompts import (
    check_variant,
    complementary_labels,
    dual_prompt_loss,
    prompt_logits,
    selected,
    stage_of,
)
from noiseproof.training.schedule import learning_rate_factor

_INIT_STD = 0.02
_ROWS = 8192  # of the final pass
RANGES = {
    "num_context": Range(1.0, is_whole=True),
    "epochs": Range(1.0, is_whole=True),
    "warmup_epochs": Range(0.0, is_whole=True),
    "batch_size": Range(1.0, is_whole=True),
    "learning_rate": Range(0.0, excludes_low=True),
    "momentum": Range(0.0, 1.0, excludes_high=True),
    "weight_decay": Range(0.0),
}


@dataclass(frozen=True)
class PromptOptions:
    """How phase 1 goes.

    Attributes:
        variant: of `losses.dual_prompts.VARIANTS`; "real" also keeps the learning rate constant.
        num_context: m, learnable vectors of a prompt.
        epochs: passes over the examples.
        warmup_epochs: in which all given labels are learned.
        batch_size: examples per step, each of which encodes the text once.
        learning_rate: of SGD, the highest; a cosine falls with each epoch.
        momentum: of SGD.
        weight_decay: of the learnable vectors.

    Source: Wei et al. 2024, arXiv:2409.19696, and its released configurations, whose warm-up is 5 epochs for
    labels of the web and of CIFAR-100N.
    """

    variant: str = "synthetic"
    num_context: int = 16
    epochs: int = 10
    warmup_epochs: int = 1
    batch_size: int = 64
    learning_rate: float = 0.03
    momentum: float = 0.9
    weight_decay: float = 5e-4

    def __post_init__(self) -> None:
        check_variant(self.variant)
        check_ranges(asdict(self), RANGES)


@dataclass(frozen=True, eq=False)
class PromptScores:
    """What the learned prompts say of every example, in the order of the features.

    Attributes:
        p_clean: that the given label is right; the suspicion is 1 - p_clean.
        is_clean: the selection: p_clean > 1/2; in the real variant also the largest p_yes of all classes.
        p_yes: that a class is right, for each on its own: rows do not sum to 1.
        probs: softmax of the positive prompts; rows sum to 1.
        suggested: the class of the nearest positive prompt; where the given one is not believed, of the
            others.
        contexts: the learned vectors, positive and negative.
        losses: mean loss of each epoch, while it was learned.
        num_selected: examples that each epoch took for clean, while it was learned.
    """

    p_clean: Float[np.ndarray, " n"]
    is_clean: Bool[np.ndarray, " n"]
    p_yes: Float[np.ndarray, "n k"]
    probs: Float[np.ndarray, "n k"]
    suggested: Int[np.ndarray, " n"]
    contexts: Float[np.ndarray, "2 m d"]
    losses: tuple[float, ...]
    num_selected: tuple[int, ...]


def prompt_scores(
    features: Any,
    given_labels: Int[np.ndarray, " n"],
    tower: TextTower,
    *,
    options: PromptOptions,
    seed: int,
    on_step: Callable[[], None] | None = None,
) -> PromptScores:
    """Learn the prompts, then score every example with those that were learned.

    Args:
        features: (n, e) of images in the space shared with the text; any length.
        given_labels: class ids in [0, k); may be wrong. A class may be absent.
        tower: text tower for the k classes.
        options: how.
        seed: of first vectors, order and complementary labels.
        on_step: called after each step, of which there are `num_steps(n, options)`.

    Raises:
        BadData: NaN or infinity in the features (the row is named), a label that is no class.
        InvalidArgument: features of another width than the text's.

    Source: Wei et al. 2024, arXiv:2409.19696, Section 3.2.
    Differs: no visual tuning; scores of the final prompts, not of those under way; an epoch or batch without
    a selected example teaches the negative prompts only.
    """
    contexts = first_contexts(tower, options=options, seed=seed).requires_grad_()
    rows = _checked(features, given_labels, tower, contexts)
    labels = torch.from_numpy(given_labels.astype(np.int64))
    losses, num_selected = _learn(contexts, rows, labels, tower, options, seed, on_step or (lambda: None))
    return _scored(contexts.detach(), rows, labels, tower, options.variant, losses, num_selected)


def num_steps(num_examples: int, options: PromptOptions) -> int:
    """Steps that phase 1 takes; the last batch of an epoch may be smaller."""
    return options.epochs * math.ceil(num_examples / options.batch_size)


def _learn(
    contexts: Tensor, rows: Tensor, labels: Tensor, tower: TextTower, options: PromptOptions, seed: int,
    on_step: Callable[[], None],
) -> tuple[tuple[float, ...], tuple[int, ...]]:  # fmt: skip
    optimizer = torch.optim.SGD(
        [contexts], lr=options.learning_rate, momentum=options.momentum, weight_decay=options.weight_decay
    )
    losses, num_selected = [], []
    for epoch in range(1, options.epochs + 1):
        optimizer.param_groups[0]["lr"] = options.learning_rate * _rate_factor(epoch, options)
        stage = stage_of(options.variant, epoch, warmup_epochs=options.warmup_epochs)
        order, others = _draws(labels, len(tower.class_names), seed, epoch)
        total, count = 0.0, 0
        for batch in order.split(options.batch_size):
            positive, negative = tower.encode(contexts)
            logits = prompt_logits(rows[batch], positive, negative, scale=tower.scale)
            loss = dual_prompt_loss(
                logits, labels[batch], others[batch], stage=stage, variant=options.variant
            )
            optimizer.zero_grad()
            loss.total.backward()
            optimizer.step()
            total += loss.total.item() * len(batch)
            count += int(loss.is_clean.sum())
            on_step()
        losses.append(total / len(labels))
        num_selected.append(count)
    return tuple(losses), tuple(num_selected)


def _rate_factor(epoch: int, options: PromptOptions) -> float:
    """As released: the scheduler is stepped after each epoch, and in the real variant never."""
    return 1.0 if options.variant == "real" else learning_rate_factor(epoch - 1, num_steps=options.epochs)


def _draws(labels: Tensor, num_classes: int, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
    """Order and complementary labels of an epoch."""
    order = stream(seed, "prompts", "order", epoch).permutation(len(labels))
    others = complementary_labels(
        labels.numpy(), num_classes=num_classes, rng=stream(seed, "prompts", "complementary", epoch)
    )
    return torch.from_numpy(order), torch.from_numpy(others)


def _scored(
    contexts: Tensor, rows: Tensor, labels: Tensor, tower: TextTower, variant: str,
    losses: tuple[float, ...], num_selected: tuple[int, ...],
) -> PromptScores:  # fmt: skip
    """The final pass: every example by the same prompts."""
    parts = []
    with torch.no_grad():
        positive, negative = tower.encode(contexts)
        for some, given in zip(rows.split(_ROWS), labels.split(_ROWS), strict=True):
            logits = prompt_logits(some, positive, negative, scale=tower.scale)
            log_odds = logits.log_odds
            # In float64, where no odds but even ones become 1/2.
            of_given = log_odds.gather(1, given[:, None]).squeeze(1).double().sigmoid()
            is_selected = selected(log_odds, given, variant=variant)
            others = logits.positive.scatter(1, given[:, None], -torch.inf).argmax(-1)
            nearest = torch.where(is_selected, logits.positive.argmax(-1), others)
            softmax = logits.positive.softmax(-1)
            parts.append((of_given, is_selected, log_odds.sigmoid(), softmax, nearest))
    p_clean, is_clean, p_yes, probs, suggested = (
        torch.cat(each).numpy() for each in zip(*parts, strict=True)
    )
    return PromptScores(p_clean, is_clean, p_yes, probs, suggested, contexts.numpy(), losses, num_selected)


def first_contexts(tower: TextTower, *, options: PromptOptions, seed: int) -> Float[Tensor, "2 m d"]:
    """Vectors before the first step: N(0, 0.02^2), the two prompts independent."""
    generator = torch.Generator().manual_seed(torch_seed(seed, "prompts", "init"))
    shape = (2, options.num_context, tower.context_dim)
    return _INIT_STD * torch.randn(shape, generator=generator)


def _checked(features: Any, labels: np.ndarray, tower: TextTower, contexts: Tensor) -> Float[Tensor, "n e"]:
    """Rows of unit length, in the space of the text."""
    rows = unit_rows(features)
    num_classes = len(tower.class_names)
    if num_classes < 2:
        raise invalid("class_names", tower.class_names, "two or more classes")
    if len(labels) != len(rows):
        raise invalid(
            "given_labels", f"of length {len(labels)}", f"one label for each of the {len(rows)} rows"
        )
    check_label_range(labels, num_classes, "given_labels")
    with torch.no_grad():
        check_shared_space(rows, tower.encode(contexts).shape[-1])
    return rows


def score_with(
    contexts: Float[Tensor, "2 m d"],
    features: Any,
    given_labels: Int[np.ndarray, " n"],
    tower: TextTower,
    *,
    variant: str,
) -> PromptScores:
    """What prompts that were learned elsewhere say of every example; `prompt_scores` has the arguments."""
    rows = _checked(features, given_labels, tower, contexts)
    labels = torch.from_numpy(given_labels.astype(np.int64))
    return _scored(contexts.detach(), rows, labels, tower, variant, (), ())


METHOD = "prompts"


def prompts_opinion(evidence: Evidence, **options: Any) -> Opinion:
    """Learn the prompts on the features, which are of the image-text model of the text tower.

    Args:
        evidence: with features in the shared space, and a text tower.
        options: of `PromptOptions`.

    Source: Wei et al. 2024, arXiv:2409.19696, Section 3.2.
    """
    tower, features = evidence.need("text_tower", METHOD), evidence.need("features", METHOD)
    scores = prompt_scores(
        features, evidence.given_labels, tower, options=PromptOptions(**options), seed=evidence.seed
    )  # fmt: skip
    return opinion_of_scores(
        scores.p_clean, scores.is_clean, scores.suggested, evidence.given_labels,
        num_classes=evidence.num_classes, probs=scores.probs.astype(np.float64),
    )  # fmt: skip


def opinion_of_scores(
    p_clean: Float[np.ndarray, " n"],
    is_clean: Bool[np.ndarray, " n"],
    suggested: Int[np.ndarray, " n"],
    given_labels: Int[np.ndarray, " n"],
    *,
    num_classes: int,
    probs: Float[np.ndarray, "n k"] | None = None,
) -> Opinion:
    """The fields of `PromptScores` as any detector would say them."""
    return by_decision(
        np.clip(1.0 - p_clean, 0.0, 1.0), ~is_clean, suggested, given_labels,
        num_classes=num_classes, method=METHOD, probs=probs,
    )  # fmt: skip
