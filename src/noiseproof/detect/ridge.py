"""Detectors on leave-one-out scores of a ridge head: no folds, and no example judges its own label."""

from __future__ import annotations

import math

import numpy as np

from noiseproof.core.transition import symmetric_transition
from noiseproof.detect.detector_result import DetectorResult, result_from_posterior
from noiseproof.detect.evidence import Evidence
from noiseproof.posterior.true_labels import label_posterior

# What a matrix of its own has to gain: nats per held-out label, or nats per label that it calls wrong.
# People's mistakes (CIFAR-10N) and noise by the example gain 0.01 to 0.03 and 0.1 to 0.5, much of it the
# head's own confusion of classes. Pair noise of 10 to 40 % gains 0.10 to 0.25 (in 100 classes up to 0.6);
# where labels of one class only go wrong it is 0.02 to 0.1, but 0.5 to 3 per wrong label (dev/LOG.md). Fewer
# classes have less to gain: where labels of one of two go wrong, about 0.04.
_LEAST_GAIN, _OF_CLASSES = 0.07, 7
_LEAST_PER_WRONG, _LEAST_BESIDE, _STANDARD_ERRORS = 0.6, 0.015, 3
_LEAST_WRONG = 3  # labels; fewer are no pattern


def leave_one_out_detector(evidence: Evidence) -> DetectorResult:
    """Any class may be given instead of the true one, all alike (`posterior.calibration`)."""
    evidence.require("features", "leave_one_out")
    fit = evidence.calibration
    posterior = label_posterior(
        fit.probs,
        evidence.compact_labels,
        symmetric_transition(fit.noise_rate, len(evidence.present_classes)),
    )
    return result_from_posterior(
        evidence.over_all_classes(posterior), evidence.given_labels, suspicion=fit.suspicion,
        probs=evidence.over_all_classes(fit.probs), method="leave_one_out",
    )  # fmt: skip


def transition_detector(evidence: Evidence) -> DetectorResult:
    """Some classes are given for others more than for the rest (`posterior.true_labels`)."""
    evidence.require("features", "transition")
    fit = evidence.transition_model
    rest = fit.posterior.copy()
    np.put_along_axis(rest, evidence.compact_labels[:, None], 0.0, axis=1)
    return result_from_posterior(
        evidence.over_all_classes(fit.posterior), evidence.given_labels,
        suspicion=np.clip(rest.sum(1), 0.0, 1.0), probs=evidence.over_all_classes(fit.probs),
        method="transition",
    )  # fmt: skip


def estimate_noise_rate(evidence: Evidence) -> float:
    """Share of wrong labels as the better of the two has it."""
    joint = leave_one_out_or_transition(evidence).joint
    return float(1 - np.trace(joint) / joint.sum())


def leave_one_out_or_transition(evidence: Evidence) -> DetectorResult:
    """The one of the two that the labels speak for, which says why."""
    gain, least = evidence.transition_gain, _least_gain(evidence)
    if gain.nats > least and gain.noise_rate * len(evidence) >= _LEAST_WRONG:
        return transition_detector(evidence).with_note(
            f"Method 'transition', because some classes are given for others far more than for the rest: a "
            f"transition matrix explains labels it was not fitted to better by {gain.nats:.2f} nats each."
        )
    return leave_one_out_detector(evidence).with_note(_why_not_a_matrix(gain.nats, least))


def _least_gain(evidence: Evidence) -> float:
    """Nats per held-out label."""
    gain, num_classes = evidence.transition_gain, len(evidence.present_classes)
    beside = max(_LEAST_BESIDE, _LEAST_PER_WRONG * gain.noise_rate, _STANDARD_ERRORS * gain.standard_error)
    return min(_LEAST_GAIN, _LEAST_GAIN * math.log(num_classes) / math.log(_OF_CLASSES), beside)


def _why_not_a_matrix(nats: float, least: float) -> str:
    if nats > least:
        return "Method 'leave_one_out', because a transition matrix finds hardly any wrong label."
    better = f"hardly better: by {nats:.2f} nats each" if nats > 0 else f"worse: by {-nats:.2f} nats each"
    return (
        f"Method 'leave_one_out', because a transition matrix explains labels it was not fitted to {better}, "
        f"and it is taken from {least:.2f} on."
    )
