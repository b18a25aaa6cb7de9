"""Calibration of a head on held-out examples: sharpness = 1 / T, with labels that may be wrong."""

import math

import numpy as np
import pytest

from noiseproof.posterior.temperature import calibrated, fit_temperature


def slow_log_posterior(sharpness, sigma, probs, labels):
    """Sum over the examples, the two pseudo-counts of sigma, and the prior of ln(sharpness)."""
    total = math.log(sigma) + math.log(1 - sigma) - math.log(sharpness) ** 2 / 2
    for row, label in zip(probs.tolist(), labels.tolist(), strict=True):
        powers = [p**sharpness for p in row]
        total += math.log((1 - sigma) * powers[label] / sum(powers) + sigma / len(row))
    return total


def drawn(n, k, *, sharpness, wrong, seed):
    """Probabilities of a head, and labels that follow them after sharpening; some are drawn again."""
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(k, 0.4), size=n)
    truth = np.array([rng.choice(k, p=p) for p in calibrated(probs, sharpness)])
    return probs, np.where(rng.random(n) < wrong, rng.integers(k, size=n), truth), truth


def test_no_point_of_a_grid_is_better():
    probs, labels, _ = drawn(60, 3, sharpness=2.0, wrong=0.2, seed=0)
    found = fit_temperature(probs, labels)
    best = slow_log_posterior(found.sharpness, found.noise_rate * 3 / 2, probs, labels)
    for sharpness in np.geomspace(0.1, 10, 41):
        for sigma in np.linspace(0.01, 0.9, 40):
            assert slow_log_posterior(sharpness, sigma, probs, labels) <= best + 1e-6


def test_sharpness_two_squares_the_probabilities():
    """By hand: 0.8^2 / (0.8^2 + 0.2^2) = 0.64 / 0.68, and sharpness 1 changes nothing."""
    probs = np.array([[0.8, 0.2]])
    assert calibrated(probs, 2.0)[0] == pytest.approx([0.64 / 0.68, 0.04 / 0.68])
    assert calibrated(probs, 1.0)[0] == pytest.approx([0.8, 0.2])


def test_few_examples_that_are_all_right_leave_doubt():
    """A likelihood alone would make 0.55 a certainty here."""
    probs = np.tile([0.9, 0.1], (10, 1))
    found = fit_temperature(probs, np.zeros(10, int))
    assert calibrated(np.array([[0.55, 0.45]]), found.sharpness)[0, 0] < 0.75


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_planted_values_are_recovered(sharpness):
    probs, labels, truth = drawn(4000, 4, sharpness=sharpness, wrong=0.2, seed=1)
    found = fit_temperature(probs, labels)
    assert found.sharpness == pytest.approx(sharpness, rel=0.12)
    assert found.noise_rate == pytest.approx((labels != truth).mean(), abs=0.04)


def test_wrong_labels_do_not_make_a_right_head_doubtful():
    """The share of right predictions at a confidence is that confidence, by the true labels."""
    probs, labels, truth = drawn(8000, 4, sharpness=2.0, wrong=0.2, seed=2)
    fitted = calibrated(probs, fit_temperature(probs, labels).sharpness)
    confidence, is_right = fitted.max(1), fitted.argmax(1) == truth
    for low in (0.5, 0.7, 0.9):
        rows = (confidence >= low) & (confidence < low + 0.1)
        assert is_right[rows].mean() == pytest.approx(confidence[rows].mean(), abs=0.04)


def test_predictions_stay_also_where_a_probability_is_zero():
    probs = np.array([[1.0, 0.0, 0.0], [0.2, 0.5, 0.3]])
    for sharpness in (0.1, 1.0, 50.0):
        sharper = calibrated(probs, sharpness)
        assert sharper.argmax(1).tolist() == [0, 1]
        assert np.isfinite(sharper).all()
        assert sharper.sum(1) == pytest.approx(1)
