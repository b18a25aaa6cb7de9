"""Detectors on exact leave-one-out scores of a ridge head: out-of-sample for every label, without folds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from noiseproof.detect.detector_result import DetectorResult, best_other_class, result_from_posterior
from noiseproof.detect.evidence import Evidence
from noiseproof.detect.rate_range import with_rate_range
from noiseproof.posterior.by_label import expected_counts, symmetric_column
from noiseproof.posterior.noisy_regression import NoisyRegression, fit_noisy_regression
from noiseproof.posterior.transition_gain import compared_examples
from noiseproof.posterior.true_labels import TransitionModel

# Least gain of a fitted transition matrix over a symmetric one, in nats per held-out label or per wrong
# label. Human label errors (CIFAR-10N) gain 0.01 to 0.03 and instance-dependent noise 0.1 to 0.5, much of it
# because the head itself confuses classes. Pair noise of 10 to 40 % gains 0.10 to 0.25 (with 100 classes up
# to 0.6); if only one class has wrong labels the gain is 0.02 to 0.1, but 0.5 to 3 per wrong label
# (dev/LOG.md). Fewer classes gain less: about 0.04 if one of two classes has wrong labels.
_LEAST_GAIN, _GAIN_CLASSES = 0.07, 7
_LEAST_PER_WRONG, _LEAST_EVER, _STANDARD_ERRORS = 0.6, 0.015, 3
# Halves of fewer examples of each class never prefer a matrix, whatever the noise (dev/LOG.md); with a few
# classes to look at it costs nothing.
_MANY_CLASSES, _LEAST_OF_EACH = 100, 10
_LEAST_WRONG = 3  # wrong labels; fewer are not a pattern
# With rare classes a regression also flags right labels (3 to 5 % of them), and an even spread misses most of
# what people confuse: from which rate by an even spread labels are not all right, and how many times that
# rate the regression has to find (dev/LOG.md: people 1.9 to 7 times, even noise of 10 % 1.5 to 1.7 times).
_LEAST_EVEN_RATE, _LEAST_TIMES = 0.01, 1.75


def leave_one_out_detector(evidence: Evidence) -> DetectorResult:
    """Wrong labels are spread evenly over the other classes (`posterior.calibration`)."""
    evidence.require("features", "leave_one_out")
    fit = evidence.calibration
    column = symmetric_column(fit.noise_rate, len(evidence.present_classes))
    return _result(evidence, "leave_one_out", fit.probs, fit.probs, fit.suspicion, column)


def transition_detector(evidence: Evidence) -> DetectorResult:
    """Some pairs of classes are confused more often than others.

    With 50 or more examples per class and at most 100 classes a regression on the scores
    (`posterior.noisy_regression`), otherwise `posterior.true_labels`.
    """
    evidence.require("features", "transition")
    return _transition_result(evidence, evidence.transition_model)


def _transition_result(evidence: Evidence, fit: NoisyRegression | TransitionModel) -> DetectorResult:
    # One minus the posterior of the given class would be rounded.
    rest = fit.posterior.copy()
    np.put_along_axis(rest, evidence.compact_labels[:, None], 0.0, axis=1)
    suspicion = np.clip(rest.sum(1, dtype=np.float64), 0.0, 1.0)
    columns = np.ascontiguousarray(fit.matrix.T)
    return _result(evidence, "transition", fit.probs, fit.posterior, suspicion, columns.__getitem__)


def _result(
    evidence: Evidence,
    method: str,
    probs: np.ndarray,
    posterior: np.ndarray,
    suspicion: np.ndarray,
    column: Callable[[int], np.ndarray],
) -> DetectorResult:
    """Result from probabilities and columns of the transition matrix, both of the present classes only.

    `posterior` orders the other classes as P(true | x, given) does.
    """
    labels, wide = evidence.compact_labels, evidence.over_all_classes(probs)
    result = result_from_posterior(
        suspicion, evidence.present_classes[best_other_class(posterior, labels)], evidence.given_labels,
        joint=evidence.joint_over_all_classes(expected_counts(probs, labels, column)),
        probs=wide, method=method,
    )  # fmt: skip
    return with_rate_range(result, wide, evidence.given_labels)


def estimate_noise_rate(evidence: Evidence) -> float:
    """Share of wrong labels by `leave_one_out_or_transition`."""
    return leave_one_out_or_transition(evidence).noise_rate


def leave_one_out_or_transition(evidence: Evidence) -> DetectorResult:
    """The detector that suits the number of examples and their noise, with a note that gives the reason."""
    if evidence.has_regression:
        return _regression_or_leave_one_out(evidence)
    if few := _too_few_of_each_class(evidence):
        return leave_one_out_detector(evidence).with_note(few)
    gain, least = evidence.transition_gain, _least_gain(evidence)
    if gain.nats > least and gain.noise_rate * len(evidence) >= _LEAST_WRONG:
        return transition_detector(evidence).with_note(
            "Some pairs of classes are confused far more often than others: a transition matrix fits "
            f"held-out labels better by {gain.nats:.2f} nats per label, so the method 'transition' was used."
        )
    if evidence.has_rare_classes and (uneven := _uneven_noise(evidence)):
        return uneven
    return leave_one_out_detector(evidence).with_note(_why_not_a_matrix(gain.nats, least))


def _regression_or_leave_one_out(evidence: Evidence) -> DetectorResult:
    matrix, n, k = evidence.transition_model.matrix, len(evidence), len(evidence.present_classes)
    others = matrix - np.diag(np.full(k, np.inf))
    if (np.diag(matrix) <= others.max(axis=1)).any():
        return leave_one_out_detector(evidence).with_note(
            "A fitted transition matrix has a class whose labels are mostly another one, which features "
            "alone cannot show, so the method 'leave_one_out' was used."
        )
    return transition_detector(evidence).with_note(
        f"There are enough examples of each class ({n // k:,} on average) to estimate how often it is "
        "mistaken for each other one, so the method 'transition' was used."
    )


def _uneven_noise(evidence: Evidence) -> DetectorResult | None:
    """The regression despite rare classes, where it finds far more than an even spread of wrong labels.

    Right labels of a class that features take for another one look the same, so the range begins at the even
    rate.
    """
    even = evidence.calibration.noise_rate
    if even < _LEAST_EVEN_RATE:
        return None
    result = _transition_result(evidence, fit_noisy_regression(evidence.scores, evidence.compact_labels))
    if result.noise_rate < _LEAST_TIMES * even or result.rate_range is None:
        return None
    low, high = result.rate_range
    return replace(result, rate_range=(min(low, even), high)).with_note(
        "Wrong labels are not spread evenly over the classes: a fitted transition matrix finds "
        f"{100 * result.noise_rate:.1f} % where an even spread finds {100 * even:.1f} %, so the method "
        "'transition' was used. Look twice at labels of rare classes: features hardly know these."
    )


def _too_few_of_each_class(evidence: Evidence) -> str | None:
    """Why a transition matrix is not tried, or `None`."""
    num_classes = len(evidence.present_classes)
    if num_classes < _MANY_CLASSES or compared_examples(len(evidence)) >= _LEAST_OF_EACH * num_classes:
        return None
    return (
        f"A transition matrix was not tried: it needs {_LEAST_OF_EACH} examples of each class, of at most "
        f"{compared_examples(len(evidence)):,} that are compared, and there are {num_classes:,} classes. So "
        "the method 'leave_one_out' was used."
    )


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
