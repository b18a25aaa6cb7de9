"""Detectors on exact leave-one-out scores of a ridge head: out-of-sample for every label, without folds."""

from __future__ import annotations

import math

import numpy as np

from noiseproof.detect.detector_result import DetectorResult, result_from_posterior
from noiseproof.detect.evidence import Evidence
from noiseproof.posterior.symmetric_noise import symmetric_transition
from noiseproof.posterior.true_labels import label_posterior

# Least gain of a fitted transition matrix over a symmetric one, in nats per held-out label or per wrong
# label. Human label errors (CIFAR-10N) gain 0.01 to 0.03 and instance-dependent noise 0.1 to 0.5, much of it
# because the head itself confuses classes. Pair noise of 10 to 40 % gains 0.10 to 0.25 (with 100 classes up
# to 0.6); if only one class has wrong labels the gain is 0.02 to 0.1, but 0.5 to 3 per wrong label
# (dev/LOG.md). Fewer classes gain less: about 0.04 if one of two classes has wrong labels.
_LEAST_GAIN, _GAIN_CLASSES = 0.07, 7
_LEAST_PER_WRONG, _LEAST_EVER, _STANDARD_ERRORS = 0.6, 0.015, 3
_LEAST_WRONG = 3  # wrong labels; fewer are not a pattern


def leave_one_out_detector(evidence: Evidence) -> DetectorResult:
    """Wrong labels are spread evenly over the other classes (`posterior.calibration`)."""
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
    """Some pairs of classes are confused more often than others (`posterior.true_labels`)."""
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
    """Share of wrong labels by `leave_one_out_or_transition`."""
    joint = leave_one_out_or_transition(evidence).joint
    return float(1 - np.trace(joint) / joint.sum())


def leave_one_out_or_transition(evidence: Evidence) -> DetectorResult:
    """The detector whose noise model explains held-out labels better, with a note that gives the reason."""
    gain, least = evidence.transition_gain, _least_gain(evidence)
    if gain.nats > least and gain.noise_rate * len(evidence) >= _LEAST_WRONG:
        return transition_detector(evidence).with_note(
            "Some pairs of classes are confused far more often than others: a transition matrix fits "
            f"held-out labels better by {gain.nats:.2f} nats per label, so the method 'transition' was used."
        )
    return leave_one_out_detector(evidence).with_note(_why_not_a_matrix(gain.nats, least))


def _least_gain(evidence: Evidence) -> float:
    """Least gain from which a transition matrix is used, in nats per held-out label."""
    gain, num_classes = evidence.transition_gain, len(evidence.present_classes)
    for_few_wrong = max(
        _LEAST_EVER, _LEAST_PER_WRONG * gain.noise_rate, _STANDARD_ERRORS * gain.standard_error
    )
    return min(_LEAST_GAIN, _LEAST_GAIN * math.log(num_classes) / math.log(_GAIN_CLASSES), for_few_wrong)


def _why_not_a_matrix(nats: float, least: float) -> str:
    if nats > least:
        return "A transition matrix finds hardly any wrong label, so the method 'leave_one_out' was used."
    return (
        f"A transition matrix fits held-out labels {'hardly' if nats > 0 else 'no'} better ({nats:.2f} nats "
        f"per label; {least:.2f} needed), so the method 'leave_one_out' was used."
    )
