"""DeFT's first phase on stored features: learned positive and negative prompts find wrong labels.

Only the prompts learn, so the image encoder runs once, beforehand, and an epoch costs little more than
encoding the prompts at every step. The equations are in `losses.dual_prompts`; `pipelines.deft.tower` trains
parts of the image tower as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from noiseproof.core.checks import check_label_range
from noiseproof.core.errors import invalid
from noiseproof.core.rng import stream, torch_seed
from noiseproof.detect.detector_result import DetectorResult, result_from_decision
from noiseproof.detect.evidence import Evidence
from noiseproof.detect.prompt_settings import PromptSettings
from noiseproof.detect.row_reader import BLOCK_ROWS, RowReader
from noiseproof.detect.text_tower import TextTower, check_shared_space, unit_rows
from noiseproof.losses.dual_prompts import (
    complementary_labels,
    dual_prompt_loss,
    epoch_rules,
    prompt_logits,
    selected,
)
from noiseproof.training.schedule import learning_rate_factor

METHOD = "prompts"
_INIT_STD = 0.02


@dataclass(frozen=True, eq=False)
class PromptScores:
    """Scores of every example by the learned prompts, in the order of the features.

    Attributes:
        p_clean: probability that the given label is correct; the suspicion is 1 - p_clean.
        is_clean: the selected examples: p_clean > 1/2; in the real variant p_yes must also be the largest of
            all classes.
        p_yes: probability that a class is correct, for each class on its own: rows do not sum to 1.
        probs: softmax of the positive prompts; rows sum to 1.
        suggested: class of the nearest positive prompt; if the example is not selected, without the given
            class.
        contexts: learned vectors, positive and negative.
        losses: mean training loss of each epoch.
        num_selected: examples selected during each epoch.
    """

    p_clean: Float[np.ndarray, " n"]
    is_clean: Bool[np.ndarray, " n"]
    p_yes: Float[np.ndarray, "n k"]
    probs: Float[np.ndarray, "n k"]
    suggested: Int[np.ndarray, " n"]
    contexts: Float[np.ndarray, "2 m d"]
    losses: tuple[float, ...]
    num_selected: tuple[int, ...]


def prompts_detector(evidence: Evidence, **options: Any) -> DetectorResult:
    """Learn the prompts on the features of an image-text model, with its text tower.

    Args:
        evidence: with a text tower and features in the space that it shares with images.
        options: fields of `PromptSettings`.

    Source: Wei et al. 2024, arXiv:2409.19696, Section 3.2.
    """
    tower, features = evidence.require("text_tower", METHOD), evidence.require("features", METHOD)
    scores = prompt_scores(
        features, evidence.given_labels, tower, settings=PromptSettings(**options), seed=evidence.seed
    )  # fmt: skip
    return prompt_result(
        scores.p_clean, scores.is_clean, scores.suggested, evidence.given_labels,
        num_classes=evidence.num_classes, probs=scores.probs.astype(np.float64),
    )  # fmt: skip


def prompt_result(
    p_clean: Float[np.ndarray, " n"],
    is_clean: Bool[np.ndarray, " n"],
    suggested: Int[np.ndarray, " n"],
    given_labels: Int[np.ndarray, " n"],
    *,
    num_classes: int,
    probs: Float[np.ndarray, "n k"] | None = None,
) -> DetectorResult:
    """Detector result from fields of `PromptScores`."""
    return result_from_decision(
        np.clip(1.0 - p_clean, 0.0, 1.0), ~is_clean, suggested, given_labels,
        num_classes=num_classes, method=METHOD, probs=probs,
    )  # fmt: skip


def prompt_scores(
    features: Any,
    given_labels: Int[np.ndarray, " n"],
    tower: TextTower,
    *,
    settings: PromptSettings,
    seed: int,
    on_step: Callable[[], None] | None = None,
) -> PromptScores:
    """Learn the prompts, then score every example with the learned prompts.

    Args:
        features: (n, e) image features in the space shared with the text; scaled to unit length here.
        given_labels: class ids in [0, k); may be wrong. A class may be absent.
        tower: text tower for the k classes.
        settings: how the prompts are learned.
        seed: of first vectors, order and complementary labels.
        on_step: called after each of the `num_steps(n, settings)` steps.

    Raises:
        BadData: NaN or infinity in the features (the row is named), a label outside the classes.
        InvalidArgument: the width of the features differs from that of the text.

    Source: Wei et al. 2024, arXiv:2409.19696, Section 3.2.
    Differs: no visual tuning; scores come from the final prompts, not from those during training; an epoch or
    batch without a selected example trains the negative prompts only.
    """
    contexts = first_contexts(tower, num_context=settings.num_context, seed=seed).requires_grad_()
    rows = _checked(features, given_labels, tower, contexts)
    labels = torch.from_numpy(given_labels.astype(np.int64))
    losses, num_selected = _learn(contexts, rows, labels, tower, settings, seed, on_step or (lambda: None))
    return _scored(contexts.detach(), rows, labels, tower, settings.variant, losses, num_selected)


def num_steps(num_examples: int, settings: PromptSettings) -> int:
    """Number of training steps; the last batch of an epoch may be smaller."""
    return settings.epochs * math.ceil(num_examples / settings.batch_size)


def _learn(
    contexts: Tensor, rows: RowReader, labels: Tensor, tower: TextTower, settings: PromptSettings, seed: int,
    on_step: Callable[[], None],
) -> tuple[tuple[float, ...], tuple[int, ...]]:  # fmt: skip
    optimizer = torch.optim.SGD(
        [contexts], lr=settings.learning_rate, momentum=settings.momentum, weight_decay=settings.weight_decay
    )
    losses, num_selected = [], []
    for epoch in range(1, settings.epochs + 1):
        if settings.variant == "synthetic":  # a cosine by epoch, as released; constant in the real variant
            factor = learning_rate_factor(epoch - 1, num_steps=settings.epochs)
            optimizer.param_groups[0]["lr"] = settings.learning_rate * factor
        rules = epoch_rules(settings.variant, epoch, warmup_epochs=settings.warmup_epochs)
        order, others = _draws(labels, len(tower.class_names), seed, epoch)
        total, count = 0.0, 0
        for batch in order.split(settings.batch_size):
            positive, negative = tower.encode(contexts)
            logits = prompt_logits(rows[batch], positive, negative, scale=tower.scale)
            loss = dual_prompt_loss(
                logits, labels[batch], others[batch], rules=rules, variant=settings.variant
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


def _draws(labels: Tensor, num_classes: int, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
    """Order and complementary labels of one epoch."""
    order = stream(seed, "prompts", "order", epoch).permutation(len(labels))
    others = complementary_labels(
        labels.numpy(), num_classes=num_classes, rng=stream(seed, "prompts", "complementary", epoch)
    )
    return torch.from_numpy(order), torch.from_numpy(others)


def _scored(
    contexts: Tensor, rows: RowReader, labels: Tensor, tower: TextTower, variant: str,
    losses: tuple[float, ...], num_selected: tuple[int, ...],
) -> PromptScores:  # fmt: skip
    """Score every example with the same prompts."""
    parts = []
    with torch.no_grad():
        positive, negative = tower.encode(contexts)
        for some, given in zip(rows.blocks(), labels.split(BLOCK_ROWS), strict=True):
            logits = prompt_logits(some, positive, negative, scale=tower.scale)
            log_odds = logits.log_odds
            # In float64 only exactly even odds give 1/2.
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


def first_contexts(tower: TextTower, *, num_context: int, seed: int) -> Float[Tensor, "2 m d"]:
    """Initial context vectors from N(0, 0.02^2), independent for the two prompts."""
    generator = torch.Generator().manual_seed(torch_seed(seed, "prompts", "init"))
    shape = (2, num_context, tower.context_dim)
    return _INIT_STD * torch.randn(shape, generator=generator)


def _checked(features: Any, labels: np.ndarray, tower: TextTower, contexts: Tensor) -> RowReader:
    """Features scaled to unit length, after checks against labels and text."""
    rows = unit_rows(features)
    num_classes = len(tower.class_names)
    if num_classes < 2:
        raise invalid("class_names", tower.class_names, "two or more classes")
    if len(labels) != rows.shape[0]:
        raise invalid(
            "given_labels", f"of length {len(labels)}", f"one label for each of the {rows.shape[0]} rows"
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
    """Score every example with prompts learned elsewhere; arguments as in `prompt_scores`."""
    rows = _checked(features, given_labels, tower, contexts)
    labels = torch.from_numpy(given_labels.astype(np.int64))
    return _scored(contexts.detach(), rows, labels, tower, variant, (), ())
