"""What the true labels probably are, against sums by hand and against slow loops."""

import math

import numpy as np
import pytest
import scipy.optimize

from noiseproof import corrupt_labels
from noiseproof.posterior import true_labels
from noiseproof.posterior.calibration import calibrate
from noiseproof.posterior.leave_one_out import leave_one_out
from noiseproof.posterior.symmetric_noise import symmetric_transition
from noiseproof.posterior.true_labels import (
    fit_transition_model,
    label_posterior,
    next_transition,
    true_label_probs,
)

K = 4


def clouds(n=600, kind="symmetric", rate=0.3, seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    clean = np.arange(n) % K
    features = np.eye(K, 8)[clean] * 4 + rng.normal(scale=spread, size=(n, 8))
    return features, corrupt_labels(clean, kind=kind, rate=rate, num_classes=K, seed=seed)


def of_given(probs, labels):
    return probs[np.arange(len(labels)), labels]


def test_bayes_rule_by_hand():
    matrix = np.array([[0.9, 0.1], [0.3, 0.7]])
    found = label_posterior(np.array([[0.8, 0.2], [0.8, 0.2], [0.0, 1.0]]), np.array([1, 0, 0]), matrix)
    # Given 1: 0.8 x 0.1 against 0.2 x 0.7. Given 0: 0.8 x 0.9 against 0.2 x 0.3. A sure example stays sure.
    assert found == pytest.approx(np.array([[4 / 11, 7 / 11], [12 / 13, 1 / 13], [0.0, 1.0]]))


def test_transition_matrix_by_hand():
    probs = np.array([[1.0, 0.0], [0.2, 0.8], [0.0, 1.0]])
    pseudo_counts = np.array([[0.5, 0.0], [0.0, 1.0]])
    # The second example is 0 or 1 alike: 0.2 x 0.8 against 0.8 x 0.2. Class 0: 1.5 + 0.5 given 0, none
    # given 1. Class 1: 0.5 given 0, 1 + 1 given 1.
    matrix = np.array([[0.8, 0.2], [0.2, 0.8]])
    found = next_transition(probs, np.array([0, 0, 1]), matrix, pseudo_counts)
    assert found == pytest.approx(np.array([[1.0, 0.0], [0.2, 0.8]]))


def test_labels_that_go_wrong_alike():
    assert symmetric_transition(0.3, 4) == pytest.approx(np.full((4, 4), 0.1) + 0.6 * np.eye(4))


def slow_probs(scores, labels):
    """The same in plain loops: sharpness, then five times T, twelve times over."""
    n, k = scores.shape
    rate = calibrate(scores, labels).noise_rate
    start = [[1 - rate if i == j else rate / (k - 1) for j in range(k)] for i in range(k)]
    matrix = [[0.9 * value + 0.1 / k for value in row] for row in start]

    def softmax(row, sharpness):
        powers = [math.exp(sharpness * (value - max(row))) for value in row]
        return [power / sum(powers) for power in powers]

    def cost(log_sharpness):
        total = 0.0
        for row, label in zip(scores.tolist(), labels.tolist(), strict=True):
            p = softmax(row, math.exp(log_sharpness))
            total -= math.log(sum(p[i] * matrix[i][label] for i in range(k)))
        return total / n

    def posterior(p, label):
        joint = [p[i] * matrix[i][label] for i in range(k)]
        return [value / sum(joint) for value in joint]

    for _ in range(12):
        best = scipy.optimize.minimize_scalar(
            cost, bounds=(math.log(0.5), math.log(100)), method="bounded", options={"xatol": 1e-9}
        )
        probs = [softmax(row, math.exp(best.x)) for row in scores.tolist()]
        for _ in range(5):
            counts = [[max(0.1 * n / k, 10.0) * value for value in row] for row in start]
            for p, label in zip(probs, labels.tolist(), strict=True):
                for i, share in enumerate(posterior(p, label)):
                    counts[i][label] += share
            matrix = [[value / sum(row) for value in row] for row in counts]
    found = [posterior(p, label) for p, label in zip(probs, labels.tolist(), strict=True)]
    return np.array(found), np.array(matrix)


@pytest.mark.parametrize("kind", ["symmetric", "pair"])
def test_probabilities_equal_a_slow_loop(kind):
    features, noisy = clouds(60, kind)
    scores = leave_one_out(features, noisy.given, num_classes=K).scores
    fit = fit_transition_model(scores, noisy.given)
    probs, matrix = fit.posterior, fit.matrix
    expected, expected_matrix = slow_probs(scores, noisy.given)
    assert probs == pytest.approx(expected, abs=1e-6)
    assert matrix == pytest.approx(expected_matrix, abs=1e-6)
    assert true_label_probs(features, noisy.given) == pytest.approx(expected, abs=1e-6)


def planted(matrix, n=6000, sharpness=6.0, seed=0):
    """True labels drawn from the scores by the model, given ones from the matrix."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, K))
    probs = np.exp(sharpness * scores)
    probs /= probs.sum(1, keepdims=True)
    truth = np.array([rng.choice(K, p=p) for p in probs])
    return scores, np.array([rng.choice(K, p=matrix[true]) for true in truth]), truth


PAIR = 0.6 * np.eye(K) + 0.4 * np.roll(np.eye(K), 1, axis=1)
UNEVEN = np.array([[0.9, 0.1, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.3, 0.0, 0.7, 0.0], [0.1, 0.1, 0.1, 0.7]])


@pytest.mark.parametrize("matrix", [PAIR, UNEVEN, symmetric_transition(0.4, K), np.eye(K)])
def test_planted_transition_is_recovered(matrix):
    scores, labels, truth = planted(matrix)
    fit = fit_transition_model(scores, labels)
    probs, found = fit.posterior, fit.matrix
    # The pseudo-counts draw it to symmetric noise, a tenth of the way.
    assert found == pytest.approx(matrix, abs=0.1)
    assert probs.sum(1) == pytest.approx(np.ones(len(labels)))
    assert (probs.argmax(1) == truth).mean() > (labels == truth).mean() + (
        0.1 if matrix[0, 0] < 0.8 else -0.01
    )


def test_probabilities_are_frequencies():
    scores, labels, truth = planted(UNEVEN)
    probs = fit_transition_model(scores, labels).posterior
    trust, is_right = of_given(probs, labels), labels == truth
    for low in np.arange(0, 1, 0.2):
        inside = (trust >= low) & (trust <= low + 0.2)
        if inside.sum() >= 200:  # then the standard error is below 0.036
            assert is_right[inside].mean() == pytest.approx(trust[inside].mean(), abs=0.1)


def test_pair_noise_is_seen_better_than_by_uniform_contamination():
    scores, labels, truth = planted(PAIR, sharpness=3.0)
    is_wrong = labels != truth
    ours = (of_given(fit_transition_model(scores, labels).posterior, labels) < 0.5) == is_wrong
    theirs = (calibrate(scores, labels).suspicion > 0.5) == is_wrong
    assert ours.mean() > theirs.mean() + 0.005  # 30 examples


def test_labels_that_are_right_keep_their_probability():
    features, noisy = clouds(1000, rate=0.0, spread=0.5)
    assert of_given(true_label_probs(features, noisy.given), noisy.given).min() > 0.5


def test_pseudo_counts_draw_the_matrix_to_symmetric_noise(monkeypatch):
    scores, labels, _ = planted(PAIR)
    same = symmetric_transition(calibrate(scores, labels).noise_rate, K)
    distances = []
    for share in (1e-9, 0.1, 1.0, 1e9):
        monkeypatch.setattr(true_labels, "_PSEUDO_SHARE", share)
        distances.append(np.abs(fit_transition_model(scores, labels).matrix - same).max())
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > 0.2
    assert distances[-1] == pytest.approx(0, abs=1e-6)


def test_of_a_few_examples_no_matrix_is_told():
    features, noisy = clouds(12, "pair", 0.25)
    scores = leave_one_out(features, noisy.given, num_classes=K).scores
    matrix = fit_transition_model(scores, noisy.given).matrix
    assert matrix == pytest.approx(
        symmetric_transition(calibrate(scores, noisy.given).noise_rate, K), abs=0.15
    )


def test_names_of_classes_do_not_matter():
    features, noisy = clouds(200, "pair")
    order = np.array([2, 0, 3, 1])
    found = true_label_probs(features, order[noisy.given])
    assert found[:, order] == pytest.approx(true_label_probs(features, noisy.given), abs=1e-5)


@pytest.mark.parametrize("scale", [0.0, 1e-3, 1e3])
def test_any_scores_give_probabilities(scale):
    rng = np.random.default_rng(0)
    fit = fit_transition_model(rng.normal(size=(30, 3)) * scale, np.arange(30) % 3)
    probs, matrix = fit.posterior, fit.matrix
    assert probs.sum(1) == pytest.approx(np.ones(30))
    assert matrix.sum(1) == pytest.approx(np.ones(3))
    assert np.isfinite(probs).all()
