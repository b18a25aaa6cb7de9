r"""The two-parameter model of wrong labels: q = (1 - sigma) p_y + sigma / k."""

import math

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st

from noiseproof.posterior.calibration import calibrate, negative_log_likelihood


def planted(n, k, sharpness, contamination, seed):
    """Draw true labels from the model, then contaminate; also says which given labels are wrong."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, k))
    probs = np.exp(sharpness * scores)
    probs /= probs.sum(1, keepdims=True)
    truth = np.array([rng.choice(k, p=p) for p in probs])
    is_drawn_again = rng.random(n) < contamination
    return scores, np.where(is_drawn_again, rng.integers(k, size=n), truth), truth


def slow_negative_log_likelihood(parameters, scores, labels):
    """Mean over the examples, with one contaminated and one clean pseudo-count."""
    sharpness, sigma = math.exp(parameters[0]), 1 / (1 + math.exp(-parameters[1]))
    total = -math.log(sigma) - math.log(1 - sigma)
    for row, label in zip(scores.tolist(), labels.tolist(), strict=True):
        powers = [math.exp(sharpness * (s - max(row))) for s in row]
        p = powers[label] / sum(powers)
        total -= math.log((1 - sigma) * p + sigma / len(row))
    return total / len(labels)


@pytest.mark.parametrize("parameters", [(0.0, 0.0), (1.5, -2.0), (2.0, 1.0), (-1.0, -4.0)])
def test_likelihood_equals_a_slow_loop_and_its_gradient_finite_differences(parameters):
    scores, labels, _ = planted(40, 4, 3.0, 0.3, seed=0)
    value, gradient = negative_log_likelihood(np.array(parameters), scores, labels)
    assert value == pytest.approx(slow_negative_log_likelihood(parameters, scores, labels))
    numeric = scipy.optimize.approx_fprime(
        np.array(parameters), lambda x: slow_negative_log_likelihood(x, scores, labels), 1e-7
    )
    assert gradient == pytest.approx(numeric, abs=1e-5)


@pytest.mark.parametrize(("k", "contamination"), [(2, 0.2), (5, 0.1), (5, 0.4), (10, 0.3)])
def test_planted_contamination_is_recovered(k, contamination):
    scores, labels, truth = planted(4000, k, 6.0, contamination, seed=k)
    found = calibrate(scores, labels)
    # Standard errors are near 0.015 here; sigma (k - 1) / k of the labels are wrong on average.
    assert found.noise_rate == pytest.approx(contamination * (k - 1) / k, abs=0.04)
    assert found.noise_rate == pytest.approx((labels != truth).mean(), abs=0.04)
    assert found.suspicion.mean() == pytest.approx((labels != truth).mean(), abs=0.04)


def test_suspicion_is_the_frequency_of_wrong_labels():
    scores, labels, truth = planted(8000, 4, 5.0, 0.3, seed=1)
    found = calibrate(scores, labels)
    is_wrong = labels != truth
    for low in np.arange(0, 1, 0.2):
        inside = (found.suspicion >= low) & (found.suspicion < low + 0.2)
        if inside.sum() >= 200:  # then the standard error is below 0.036
            assert is_wrong[inside].mean() == pytest.approx(found.suspicion[inside].mean(), abs=0.1)


def test_planted_probabilities_are_recovered():
    scores, labels, _ = planted(4000, 4, 3.0, 0.2, seed=2)
    expected = np.exp(3.0 * scores) / np.exp(3.0 * scores).sum(1, keepdims=True)
    assert calibrate(scores, labels).probs == pytest.approx(expected, abs=0.05)


def test_suspicion_is_bayes_rule_by_hand():
    """Whatever sharpness and contamination were found: P(wrong | label) from the joint table."""
    scores, labels, _ = planted(300, 2, 2.0, 0.3, seed=3)
    found = calibrate(scores, labels)
    sigma = found.noise_rate * 2  # k = 2: half of the drawn-again labels are wrong
    for row in range(300):
        y = labels[row]
        true_is_y, true_is_other = found.probs[row, y], found.probs[row, 1 - y]
        # Joint probabilities of the given label y with the truth.
        right = true_is_y * ((1 - sigma) + sigma / 2)
        wrong = true_is_other * sigma / 2
        assert found.suspicion[row] == pytest.approx(wrong / (right + wrong), rel=1e-9)


def test_suspicion_with_many_classes_sums_over_every_other_truth():
    scores, labels, _ = planted(100, 5, 2.0, 0.3, seed=4)
    found = calibrate(scores, labels)
    sigma = found.noise_rate * 5 / 4
    for row in range(100):
        joint = [
            p * (sigma / 5 + (1 - sigma if truth == labels[row] else 0.0))
            for truth, p in enumerate(found.probs[row])
        ]
        expected = 1 - joint[labels[row]] / sum(joint)
        assert found.suspicion[row] == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_right_labels_of_separate_classes_are_ranked(seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(90) % 2
    scores = np.eye(2)[labels] + 0.1 * rng.normal(size=(90, 2))
    suspicion = calibrate(scores, labels).suspicion
    margin = scores[np.arange(90), labels] - scores[np.arange(90), 1 - labels]
    assert (suspicion > 0).all()
    assert np.argsort(-suspicion).tolist() == np.argsort(margin).tolist()


@given(n=st.integers(2, 60), k=st.integers(2, 6), scale=st.floats(0, 50), seed=st.integers(0, 10**6))
@settings(deadline=None, max_examples=60)
def test_any_scores_give_probabilities(n, k, scale, seed):
    rng = np.random.default_rng(seed)
    scores, labels = rng.normal(size=(n, k)) * scale, rng.integers(k, size=n)
    found = calibrate(scores, labels)
    assert found.probs.sum(1) == pytest.approx(np.ones(n))
    assert ((found.suspicion >= 0) & (found.suspicion <= 1)).all()
    assert 0 < found.noise_rate < (k - 1) / k
    # Less likely labels are never less suspicious.
    given_probs = found.probs[np.arange(n), labels]
    assert (np.diff(found.suspicion[np.argsort(given_probs)]) <= 1e-12).all()


def test_clean_labels_keep_an_order():
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 4
    scores = np.eye(4)[labels] + rng.uniform(-0.2, 0.2, size=(200, 4))
    found = calibrate(scores, labels)
    assert found.noise_rate < 0.02
    assert found.suspicion.max() < 0.5
    margins = scores[np.arange(200), labels] - np.where(np.eye(4, dtype=bool)[labels], -9, scores).max(1)
    least, most = np.argsort(margins)[:20], np.argsort(margins)[-20:]
    assert found.suspicion[least].min() > found.suspicion[most].max()


def test_scores_of_float32_give_the_same_in_half_the_memory():
    scores, labels, _ = planted(500, 3, 3.0, 0.2, seed=5)
    narrow = calibrate(scores.astype(np.float32), labels)
    assert narrow.probs.dtype == np.float32
    assert narrow.suspicion == pytest.approx(calibrate(scores, labels).suspicion, abs=1e-4)
    assert narrow.noise_rate == pytest.approx(calibrate(scores, labels).noise_rate, abs=1e-4)
