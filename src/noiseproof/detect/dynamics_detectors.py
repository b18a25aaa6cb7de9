"""Detectors on training dynamics: margins (AUM), forgetting events, small loss, mixture of losses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import expit

from noiseproof.detect.detector_result import (
    DetectorResult,
    best_other_class,
    flag_most_suspicious,
    result_from_decision,
)
from noiseproof.detect.evidence import Evidence
from noiseproof.detect.ridge import estimate_noise_rate
from noiseproof.posterior.mixture import fit_mixture

# Flags are too many above both; AUM flags 1.5 to 2 times the estimated rate where wrong labels can be told.
_MOST_TIMES, _MOST_BEYOND = 3.0, 0.1
_TIE_SHARE = 1e-3  # share of the suspicion that comes from the loss itself, to break ties


def aum_detector(evidence: Evidence) -> DetectorResult:
    """Area under the margin: issues have margins like labels that are certainly wrong (`training_dynamics`).

    If these are far more than the estimated noise rate, issues are the smallest margins, as many as the rate.

    The suspicion is 1/2 at the threshold and falls with the margin, in units of its standard deviation.

    Source: Pleiss et al. 2020, arXiv:2001.10528, Section 3.
    """
    seen = evidence.dynamics("aum")
    spread = float(seen.margin.std()) or 1.0
    suspicion = expit((seen.threshold - seen.margin) / spread)
    return _unless_too_many(evidence, suspicion, seen.margin <= seen.threshold, "aum")


def forgetting_detector(evidence: Evidence, *, rate: float | None = None) -> DetectorResult:
    """Issues are the labels that were never learned, then those forgotten most often.

    Among labels that were forgotten equally often, the larger loss is more suspicious.

    Source: Toneva et al. 2019, arXiv:1812.05159, Section 3.
    """
    seen = evidence.dynamics("forgetting")
    n = len(evidence)
    most = seen.forgotten.max() + 1.0
    events = np.where(seen.is_learned, seen.forgotten, most)
    ranks = np.lexsort((seen.loss, events)).argsort()
    suspicion = (events + ranks / n) / (most + 1.0)
    return _by_rate(evidence, suspicion, rate, "forgetting")


def small_loss_detector(evidence: Evidence, *, rate: float | None = None) -> DetectorResult:
    """Issues are the labels with the largest losses, as many as are wrong.

    Args:
        evidence: with features.
        rate: share of wrong labels, if known; estimated by default.

    Source: Han et al. 2018, arXiv:1804.06872, Algorithm 1 (the selection of examples).
    """
    suspicion = -np.expm1(-evidence.dynamics("small_loss").loss)
    return _by_rate(evidence, suspicion, rate, "small_loss")


def mixture_detector(evidence: Evidence) -> DetectorResult:
    """Issues belong to the component with large losses of a mixture of two Gaussians.

    If the mixture has only one mode, issues are those of `small_loss`; if it flags far more labels than the
    estimated noise rate, the largest losses, as many as the rate.

    Source: Li, Socher & Hoi 2020, arXiv:2002.07394, Section 3.1.
    Differs: the test for two modes; losses below the smaller mean never belong to the large component.
    """
    seen = evidence.dynamics("mixture")
    mixture = fit_mixture(seen.loss, seed=evidence.seed)
    if not mixture.is_bimodal:
        return replace(small_loss_detector(evidence), method="mixture").with_note(
            "The losses have one mode, so a mixture cannot separate them: issues are the labels with the "
            "largest losses, as many as are estimated to be wrong. Next: method='auto'."
        )
    # A wide component of large losses would also cover the smallest losses.
    clean = np.where(seen.loss <= mixture.low_mean, 1.0, mixture.clean)
    suspicion = 1.0 - clean
    # Within the component of large losses all have nearly the same suspicion; the loss breaks ties.
    order = seen.loss / (seen.loss.max() or 1.0)
    suspicion = np.clip((1 - _TIE_SHARE) * suspicion + _TIE_SHARE * order, 0.0, 1.0)
    return _unless_too_many(evidence, suspicion, clean <= 0.5, "mixture")


def _unless_too_many(
    evidence: Evidence, suspicion: np.ndarray, is_issue: np.ndarray, method: str
) -> DetectorResult:
    """The flagged labels, or as many as are estimated to be wrong where these are far fewer.

    Where no label is wrong there is nothing to separate, and the threshold falls among the right labels.
    """
    share, rate = float(is_issue.mean()), estimate_noise_rate(evidence)
    if share <= max(_MOST_TIMES * rate, rate + _MOST_BEYOND):
        return _decided(evidence, suspicion, is_issue, method)
    return _by_rate(evidence, suspicion, None, method).with_note(
        f"The threshold of the method {method!r} would flag {share:.1%}, far more than are estimated to be "
        "wrong by leave-one-out: it does not separate wrong labels from right ones here. Next: method='auto'."
    )


def _by_rate(evidence: Evidence, suspicion: np.ndarray, rate: float | None, method: str) -> DetectorResult:
    share = estimate_noise_rate(evidence) if rate is None else rate
    result = _decided(evidence, suspicion, flag_most_suspicious(suspicion, share), method)
    origin = "estimated by leave-one-out" if rate is None else "given"
    return result.with_note(
        f"The {share:.1%} with the highest suspicion are flagged; this share is {origin}."
    )


def _decided(evidence: Evidence, suspicion: np.ndarray, is_issue: np.ndarray, method: str) -> DetectorResult:
    """Result whose suggestion for an issue is the class with the highest score except the given one."""
    given = evidence.given_labels
    other = best_other_class(evidence.dynamics(method).scores, given)
    return result_from_decision(
        suspicion, is_issue, np.where(is_issue, other, given), given,
        num_classes=evidence.num_classes, method=method,
    )  # fmt: skip
