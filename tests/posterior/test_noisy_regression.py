"""A logistic regression that knows that labels may be wrong, against sums by hand and slow loops."""

import math

import numpy as np
import pytest
import scipy.optimize

from noiseproof import corrupt_labels
from noiseproof.posterior import noisy_regression as module
from noiseproof.posterior.calibration import calibrate
from noiseproof.posterior.leave_one_out import leave_one_out
from noiseproof.posterior.noisy_regression import (
    RegressionLoss,
    can_fit,
    discriminants,
    fit_noisy_regression,
)


def clouds(kind, rate, *, n=1200, k=4, spread=1.5):
    rng = np.random.default_rng(0)
    clean = np.arange(n) % k
    features = np.eye(k, 2 * k)[clean] * 4 + rng.normal(scale=spread, size=(n, 2 * k))
    noisy = corrupt_labels(clean, kind=kind, rate=rate, num_classes=k, seed=0)
    return leave_one_out(features, noisy.given, num_classes=k).scores, noisy


def test_discriminants_by_hand():
    first = np.array([1.0, 3.0, -1.0, -3.0])
    found = discriminants(np.column_stack([first, -first]), np.array([0, 0, 1, 1]))
    # One more example at 0 in each class: means 4/3 and -4/3. Sum of squares 20 less 2 x 3 x 16/9, by 4: 7/3.
    mean = 4 / 3 / math.sqrt(7 / 3)
    assert found.inputs[:, 0] == pytest.approx(first / math.sqrt(7 / 3), rel=1e-5)
    assert found.weights == pytest.approx(np.array([[mean, -mean]]), rel=1e-5)
    assert found.bias == pytest.approx([math.log(0.5) - mean**2 / 2] * 2, rel=1e-5)


def test_discriminants_of_a_class_that_no_score_prefers_and_of_equal_scores():
    found = discriminants(np.zeros((6, 3)), np.array([0, 0, 0, 1, 1, 1]))
    assert np.isfinite(found.weights).all()
    assert found.bias == pytest.approx(np.log([4 / 9, 4 / 9, 1 / 9]))


def slow_loss(inputs, weights, bias, given, centre, penalty):
    total = 0.0
    for x, likelihoods in zip(inputs, given, strict=True):
        powers = [math.exp(x @ weights[:, c] + bias[c]) for c in range(len(bias))]
        total -= math.log(sum(p * g for p, g in zip(powers, likelihoods, strict=True)) / sum(powers))
    return total / len(inputs) + penalty / 2 * ((weights - centre) ** 2).sum()


@pytest.mark.parametrize(("n", "penalty"), [(40, 5 / 40), (2000, 0.005)])
def test_loss_and_gradient(n, penalty):
    rng = np.random.default_rng(0)
    inputs, centre, given = rng.normal(size=(n, 2)), rng.normal(size=(2, 3)), rng.uniform(0.1, 1, (n, 3))
    weights, bias = rng.normal(size=(2, 3)), rng.normal(size=3)
    loss, flat = RegressionLoss(inputs, centre), np.concatenate([weights.ravel(), bias])
    assert loss(flat, given)[0] == pytest.approx(slow_loss(inputs, weights, bias, given, centre, penalty))
    slope = scipy.optimize.approx_fprime(flat, lambda v: loss(v, given)[0], 1e-7)
    assert loss(flat, given)[1] == pytest.approx(slope, abs=1e-5)


def test_transition_step_by_hand():
    posterior = np.array([[1.0, 0.0], [0.25, 0.75]])
    # 0.75 labels are wrong, and one more of two more; ten pseudo-counts per class, the least.
    rate = (0.75 + 1) / 4
    found = module._transition_step(posterior, np.array([0, 0]))
    expected = [[1.25 + 10 * (1 - rate), 10 * rate], [0.75 + 10 * rate, 10 * (1 - rate)]]
    assert found == pytest.approx(np.array(expected) / np.sum(expected, axis=1, keepdims=True))


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.2, 0.4])
@pytest.mark.parametrize("kind", ["symmetric", "pair"])
def test_the_rate_is_found(kind, rate):
    scores, noisy = clouds(kind, rate)
    found = fit_noisy_regression(scores, noisy.given)
    of_given = found.posterior[np.arange(len(scores)), noisy.given]
    assert 1 - of_given.mean() == pytest.approx(rate, abs=0.03)
    assert found.matrix == pytest.approx(noisy.transition, abs=0.08)
    assert found.probs.sum(axis=1) == pytest.approx(np.ones(len(scores)))
    assert found.posterior.sum(axis=1) == pytest.approx(np.ones(len(scores)))
    if rate:
        assert ((of_given < 0.5) == noisy.flipped).mean() > 0.93


def test_where_two_parameters_blame_the_head():
    """Pair noise of 40 %: a head that is unsure explains the labels as well as noise does."""
    scores, noisy = clouds("pair", 0.4)
    assert calibrate(scores, noisy.given).noise_rate < 0.2
    found = fit_noisy_regression(scores, noisy.given)
    suspicion = 1 - found.posterior[np.arange(len(scores)), noisy.given]
    assert suspicion.mean() == pytest.approx(0.4, abs=0.03)


def test_perfect_scores_and_labels_give_finite_numbers_and_no_wrong_label():
    labels = np.arange(300) % 3
    scores = np.eye(3)[labels]
    found = fit_noisy_regression(scores, labels)
    assert found.posterior[np.arange(300), labels].min() > 0.9
    flipped = np.where(np.arange(300) == 7, 0, labels)
    found = fit_noisy_regression(scores, flipped)
    assert (found.posterior[np.arange(300), flipped] < 0.5).tolist() == (np.arange(300) == 7).tolist()


@pytest.mark.parametrize(
    ("num_examples", "num_classes", "expected"),
    [(100, 2, True), (99, 2, False), (5_000, 100, True), (100_000, 101, False)],
)
def test_many_examples_of_few_classes_are_needed(num_examples, num_classes, expected):
    labels = np.arange(num_examples) % num_classes
    assert can_fit(np.eye(num_classes)[labels], labels) is expected


def test_every_class_has_to_be_preferred_where_it_is_given():
    labels = np.arange(400) % 4
    scores = np.eye(4)[labels]
    assert can_fit(scores, labels)
    assert not can_fit(np.eye(4)[np.where(labels == 3, 0, labels)], labels)  # the last one never wins
    assert not can_fit(np.eye(4)[np.random.default_rng(0).integers(0, 4, 400)], labels)  # all win by chance
    counts = np.where(np.arange(400) < 49, 3, np.arange(400) % 3)
    assert not can_fit(np.eye(4)[counts], counts)  # one class has 49 examples


def test_some_of_many_examples_are_enough(monkeypatch):
    scores, noisy = clouds("pair", 0.3)
    whole = fit_noisy_regression(scores, noisy.given)
    assert len(module._rows_of_fit(1200, 4)) == 1200
    monkeypatch.setattr(module, "_MOST_WORK", 600 * 16)
    rows = module._rows_of_fit(1200, 4)
    assert len(set(rows.tolist())) == 600
    part = fit_noisy_regression(scores, noisy.given)
    assert part.posterior.shape == whole.posterior.shape
    assert np.abs(part.posterior - whole.posterior).mean() < 0.03
    assert (part.posterior != whole.posterior).any()
