"""Several detectors combined by the mean of their ranks."""

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
    """Mean rank of several detectors; as many issues as labels are estimated to be wrong.

    The estimate is that of leave-one-out; without features, the mean of the detectors' rates.
    The suggested label is the majority vote of the detectors.

    Args:
        evidence: with the inputs of every detector.
        methods: two or more detectors; the first one breaks ties of the vote.

    Source: Dwork et al. 2001, WWW, Section 3.1 (Borda's method of mean ranks).
    """
    results = [run_detector(evidence, method) for method in methods]
    suspicion = mean_ranks(np.stack([result.suspicion for result in results]))
    by_detectors = float(np.mean([result.noise_rate for result in results]))
    rate = by_detectors if evidence.features is None else estimate_noise_rate(evidence)
    is_issue = flag_most_suspicious(suspicion, rate)
    votes = count_votes(np.stack([result.suggested_labels for result in results]), evidence.num_classes)
    given = evidence.given_labels
    preferred = np.where(is_issue, best_other_class(votes, given), given)
    return result_from_decision(
        suspicion, is_issue, preferred, given,
        num_classes=evidence.num_classes, method="fusion",
    ).with_note(f"Mean ranks of {', '.join(methods)}.")  # fmt: skip


def mean_ranks(suspicions: Float[np.ndarray, "m n"]) -> Float[np.ndarray, " n"]:
    """Rank of each example, mean over the detectors, scaled to [0, 1]; ties get their mean rank."""
    n = suspicions.shape[1]
    return (rankdata(suspicions, axis=1).mean(0) - 1) / max(n - 1, 1)


def count_votes(labels: Int[np.ndarray, "m n"], num_classes: int) -> Float[np.ndarray, "n k"]:
    """Votes of m detectors for each class; earlier detectors count slightly more, to break ties."""
    m, n = labels.shape
    votes = np.zeros((n, num_classes))
    for place, row in enumerate(labels):
        votes[np.arange(n), row] += 1 + (m - place) * 1e-3
    return votes
