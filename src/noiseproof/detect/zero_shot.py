"""Labels that differ from the zero-shot prediction of an image-text model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from noiseproof.detect.detector_result import DetectorResult, result_from_decision
from noiseproof.detect.evidence import Evidence
from noiseproof.detect.text_tower import TextTower, check_shared_space, unit_rows


def zero_shot_detector(evidence: Evidence) -> DetectorResult:
    """Issues are labels to which the model prefers another class; suspicion is one minus their probability.

    Args:
        evidence: with the model's probabilities, or with its text tower and features in the shared space.

    Source: Wei et al. 2024, arXiv:2409.19696, Table 1 (label-match).
    """
    probs = _probs_of(evidence).astype(np.float64)
    given, preferred = evidence.given_labels, probs.argmax(1)
    of_given = np.take_along_axis(probs, given[:, None], 1)[:, 0]
    return result_from_decision(
        np.clip(1.0 - of_given, 0.0, 1.0), preferred != given, preferred, given,
        num_classes=evidence.num_classes, method="zero_shot", probs=probs,
    )  # fmt: skip


def zero_shot_probs(features: Any, tower: TextTower) -> Float[np.ndarray, "n k"]:
    """Softmax of the scaled cosines between images and class descriptions.

    Source: Radford et al. 2021, arXiv:2103.00020, Section 3.1.2.
    """
    rows, directions = unit_rows(features), tower.directions()
    check_shared_space(rows, directions.shape[1])
    probs = [torch.softmax(tower.scale * block @ directions.T, dim=-1) for block in rows.blocks()]
    return torch.cat(probs).numpy()


def _probs_of(evidence: Evidence) -> Float[np.ndarray, "n k"]:
    if evidence.zero_shot is None and evidence.text_tower is not None and evidence.features is not None:
        return zero_shot_probs(evidence.features, evidence.text_tower)
    return np.asarray(evidence.require("zero_shot", "zero_shot"))
