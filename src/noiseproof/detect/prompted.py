"""DeFT's prompts as a detector among others: an issue is a label that its negative prompt is nearer to."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from noiseproof.detect.inputs import Evidence
from noiseproof.detect.opinion import Opinion, by_decision
from noiseproof.detect.prompts import PromptOptions, prompt_scores

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
