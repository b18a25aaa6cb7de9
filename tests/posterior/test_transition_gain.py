"""How much better a transition matrix explains held-out labels, by hand and against a slow loop."""

import math

import numpy as np
import pytest

from noiseproof import corrupt_labels, find_label_issues
from noiseproof.core.rng import stream
from noiseproof.posterior import noisy_regression
from noiseproof.posterior import transition_gain as module
from noiseproof.posterior.calibration import calibrate
from noiseproof.posterior.leave_one_out import leave_one_out
from noiseproof.posterior.transition_gain import transition_gain
from noiseproof.posterior.true_labels import fit_transition_model, log_likelihoods


def blobs(kind, rate, *, n=1000, k=50):
    rng = np.random.default_rng(0)
    clean = np.arange(n) % k
    features = 0.5 * rng.normal(size=(k, 2 * k))[clean] + rng.normal(size=(n, 2 * k))
    noisy = corrupt_labels(clean, kind=kind, rate=rate, num_classes=k, seed=0)
    return features, noisy.given


def test_likelihood_by_hand():
    matrix = np.array([[0.9, 0.1], [0.3, 0.7]])
    scores = np.array([[math.log(3), 0.0], [0.0, 0.0]])
    # Sharpness 2: p = (9, 1) / 10 and (1, 1) / 2. Given 1 and 0: 0.9 x 0.1 + 0.1 x 0.7, (0.9 + 0.3) / 2.
    found = log_likelihoods(scores, np.array([1, 0]), matrix, 2.0)
    assert found == pytest.approx([math.log(0.16), math.log(0.6)])


def slow_likelihoods(scores, labels, matrix, sharpness):
    found = []
    for row, label in zip(scores.tolist(), labels.tolist(), strict=True):
        powers = [math.exp(sharpness * (value - max(row))) for value in row]
        found.append(math.log(sum(p / sum(powers) * matrix[i][label] for i, p in enumerate(powers))))
    return found


@pytest.mark.parametrize("most", [200, 10_000])
def test_each_half_is_judged_by_the_fit_of_the_other(most, monkeypatch):
    monkeypatch.setattr(module, "_MOST_EXAMPLES", most)
    features, labels = blobs("pair", 0.3, n=301, k=4)
    scores = leave_one_out(features, labels, num_classes=4).scores
    order = stream(0, "transition gain").permutation(301)[:most]
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    gains, rates = [], []
    for fit, test in (halves, halves[::-1]):
        own, uniform = fit_transition_model(scores[fit], labels[fit]), calibrate(scores[fit], labels[fit])
        wrong = uniform.noise_rate / 3
        matrix = [[1 - 3 * wrong if i == j else wrong for j in range(4)] for i in range(4)]
        of_own = slow_likelihoods(scores[test], labels[test], own.matrix, own.sharpness)
        of_uniform = slow_likelihoods(scores[test], labels[test], matrix, uniform.sharpness)
        gains += [a - b for a, b in zip(of_own, of_uniform, strict=True)]
        rates.append(sum(1 - own.posterior[row, label] for row, label in enumerate(labels[fit])) / len(fit))
    found, mean = transition_gain(scores, labels), sum(gains) / len(gains)
    assert found.nats == pytest.approx(mean, rel=1e-6)
    variance = sum((gain - mean) ** 2 for gain in gains) / len(gains)
    assert found.standard_error == pytest.approx(math.sqrt(variance / len(gains)), rel=1e-6)
    assert found.noise_rate == pytest.approx(sum(rates) / 2, rel=1e-6)


def test_many_classes_gain_nothing_by_heart():
    """On the labels that it was fitted to the matrix gains 0.2 nats here, whatever the noise."""
    features, labels = blobs("symmetric", 0.3)
    scores = leave_one_out(features, labels, num_classes=50).scores
    own, uniform = fit_transition_model(scores, labels), calibrate(scores, labels)
    in_sample = log_likelihoods(scores, labels, own.matrix, own.sharpness) - log_likelihoods(
        scores, labels, module.symmetric_transition(uniform.noise_rate, 50), uniform.sharpness
    )
    assert in_sample.mean() > 0.1
    assert transition_gain(scores, labels).nats < 0.0
    assert find_label_issues(features, labels).method == "leave_one_out"


def test_many_classes_gain_where_labels_went_wrong_in_pairs():
    features, labels = blobs("pair", 0.3, n=3000)
    assert find_label_issues(features, labels).method == "transition"


@pytest.mark.parametrize("rate", [0.1, 0.2])
def test_one_confused_pair_of_classes_is_enough(rate, monkeypatch):
    """A gain per label is small where few labels are wrong; per wrong label it is not."""
    monkeypatch.setattr(noisy_regression, "_LEAST_PER_CLASS", 10**9)
    rng = np.random.default_rng(0)
    clean = np.arange(1400) % 7
    features = 3 * np.eye(7, 20)[clean] + 0.7 * rng.normal(size=(1400, 20))
    given = np.where((clean == 0) & (rng.random(1400) < rate), 1, clean)
    found = find_label_issues(features, given)
    assert found.method == "transition"
    assert found.noise_rate == pytest.approx((given != clean).mean(), abs=0.01)
    assert found.is_issue[given != clean].mean() > 0.8
    alike = find_label_issues(features, given, method="leave_one_out")
    assert alike.is_issue[given != clean].mean() < found.is_issue[given != clean].mean() - 0.1
    assert find_label_issues(features, clean).method == "leave_one_out"


@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_handful_of_examples_has_a_finite_gain(n):
    found = find_label_issues(np.eye(n), np.arange(n) % 2)
    assert np.isfinite(found.suspicion).all()
    assert np.isfinite(transition_gain(np.eye(n)[:, :2], np.arange(n) % 2).nats)
