"""Several detectors together: the mean of their ranks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata

from noiseproof.detect.detector_result import (
    DetectorResult,
    best_other_class,
    flag_most_suspicious,
    result_from_decision,
)
from noiseproof.detect.detectors import DEFAULT_FUSION, run_detector
from noiseproof.detect.evidence import Evidence
from noiseproof.detect.ridge import estimate_noise_rate


def fusion_detector(evidence: Evidence, *, methods: Sequence[str] = DEFAULT_FUSION) -> DetectorResult:
    """Issues are as many as leave-one-out estimates to be wrong; suggested is what most detectors prefer.

    Args:
        evidence: with what each of them needs.
        methods: two detectors or more; the first decides where votes are equal.

    Source: Dwork et al. 2001, WWW, Section 3.1 (Borda's method of mean ranks).
    """
    opinions = [run_detector(evidence, method) for method in methods]
    suspicion = mean_ranks(np.stack([opinion.suspicion for opinion in opinions]))
    is_issue = flag_most_suspicious(suspicion, _rate(evidence, opinions))
    votes = votes_of(np.stack([opinion.suggested_labels for opinion in opinions]), evidence.num_classes)
    given = evidence.given_labels
    preferred = np.where(is_issue, best_other_class(votes, given), given)
    return result_from_decision(
        suspicion, is_issue, preferred, given,
        num_classes=evidence.num_classes, method="fusion",
    ).with_note(f"Mean ranks of {', '.join(methods)}.")  # fmt: skip


def _rate(evidence: Evidence, opinions: Sequence[DetectorResult]) -> float:
    """By leave-one-out; without features the mean of what the detectors say."""
    if evidence.features is not None:
        return estimate_noise_rate(evidence)
    return float(np.mean([1 - np.trace(opinion.joint) / opinion.joint.sum() for opinion in opinions]))


def mean_ranks(suspicions: Float[np.ndarray, "m n"]) -> Float[np.ndarray, " n"]:
    """Mean over the detectors of each example's rank among all, scaled to [0, 1]; ties share theirs."""
    n = suspicions.shape[1]
    return (rankdata(suspicions, axis=1).mean(0) - 1) / max(n - 1, 1)


def votes_of(labels: Int[np.ndarray, "m n"], num_classes: int) -> Float[np.ndarray, "n k"]:
    """How many rows say each class; of equally many that of the earliest row counts a little more."""
    m, n = labels.shape
    votes = np.zeros((n, num_classes))
    for place, row in enumerate(labels):
        votes[np.arange(n), row] += 1 + (m - place) * 1e-3
    return votes
