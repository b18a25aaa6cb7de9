"""Detectors that look on while a head learns: margins (AUM), forgetting, small loss, two humps of losses."""

from __future__ import annotations

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

_TIE_SHARE = 1e-3  # of the suspicion, that the loss itself decides


def aum_detector(evidence: Evidence) -> DetectorResult:
    """An issue has a margin below that of labels which are wrong for sure (`detect.training_dynamics`).

    The suspicion is 1/2 at the threshold and falls with the margin, by its spread.
    """
    seen = evidence.dynamics("aum")
    spread = float(seen.margin.std()) or 1.0
    suspicion = expit((seen.threshold - seen.margin) / spread)
    return _decided(evidence, suspicion, seen.margin <= seen.threshold, "aum")


def forgetting_detector(evidence: Evidence, *, rate: float | None = None) -> DetectorResult:
    """What is forgotten most often, and first of all what is never learned.

    Among examples that are forgotten equally often the one with the larger loss comes first.
    """
    seen = evidence.dynamics("forgetting")
    n = len(evidence)
    most = seen.forgotten.max() + 1.0
    events = np.where(seen.is_learned, seen.forgotten, most)
    ranks = np.lexsort((seen.loss, events)).argsort()
    suspicion = (events + ranks / n) / (most + 1.0)
    return _by_rate(evidence, suspicion, rate, "forgetting")


def small_loss_detector(evidence: Evidence, *, rate: float | None = None) -> DetectorResult:
    """The examples with the largest losses, as many as labels are wrong.

    Args:
        evidence: what is known.
        rate: share of wrong labels, where it is known; estimated by default.

    Source: Han et al. 2018, arXiv:1804.06872, Algorithm 1 (which examples a head learns from).
    """
    suspicion = -np.expm1(-evidence.dynamics("small_loss").loss)
    return _by_rate(evidence, suspicion, rate, "small_loss")


def mixture_detector(evidence: Evidence) -> DetectorResult:
    """An issue is likelier of the hump with large losses; without two humps, as `small_loss`.

    Source: Li, Socher & Hoi 2020, arXiv:2002.07394, Section 3.1.
    Differs: the guard, and that losses below the smaller mean are never of the far hump.
    """
    seen = evidence.dynamics("mixture")
    mixture = fit_mixture(seen.loss, seed=evidence.seed)
    if not mixture.has_two_humps:
        opinion = small_loss_detector(evidence)
        return opinion.with_method("mixture").with_note(
            "The losses have no two humps, so a mixture says nothing: issues are the examples with the "
            "largest losses, as many as are estimated to be wrong. Next: method='auto'."
        )
    # A wide far hump would reach around the near one: nothing below its mean is of the far one.
    clean = np.where(seen.loss <= mixture.low_mean, 1.0, mixture.clean)
    suspicion = 1.0 - clean
    # Of the far hump all are equally wrong; the larger loss comes first.
    order = seen.loss / (seen.loss.max() or 1.0)
    suspicion = np.clip((1 - _TIE_SHARE) * suspicion + _TIE_SHARE * order, 0.0, 1.0)
    return _decided(evidence, suspicion, clean <= 0.5, "mixture")


def _by_rate(evidence: Evidence, suspicion: np.ndarray, rate: float | None, method: str) -> DetectorResult:
    share = estimate_noise_rate(evidence) if rate is None else rate
    opinion = _decided(evidence, suspicion, flag_most_suspicious(suspicion, share), method)
    how = "estimated by leave-one-out" if rate is None else "given"
    return opinion.with_note(f"Flagged are the {share:.1%} with the highest suspicion; that share is {how}.")


def _decided(evidence: Evidence, suspicion: np.ndarray, is_issue: np.ndarray, method: str) -> DetectorResult:
    """An issue is taken for the class that the heads like best beside the given one."""
    given = evidence.given_labels
    other = best_other_class(evidence.dynamics(method).scores, given)
    return result_from_decision(
        suspicion, is_issue, np.where(is_issue, other, given), given,
        num_classes=evidence.num_classes, method=method,
    )  # fmt: skip
