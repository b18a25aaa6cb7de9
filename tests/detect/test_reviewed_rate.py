"""How many labels are wrong, from suspicion and a few labels that were checked."""

import numpy as np
import pytest

from noiseproof.detect.reviewed_rate import (
    draw_probabilities,
    rate_from_drawn,
    recalibrate,
    share,
)

SUSPICION = np.array([0.5, 0.9, 0.1, 0.2])


def rate_from_draws(suspicion, drawn, q, is_wrong):
    return rate_from_drawn(suspicion[drawn], q, is_wrong, num=len(suspicion), mean=float(suspicion.mean()))


def test_draws_of_a_hand_solved_case():
    q = np.array([0.25, 0.25])  # n q = 1
    found = rate_from_draws(SUSPICION, np.array([0, 2]), q, np.array([True, False]))
    # mean(s) = 0.425; terms 0.5 and -0.1: mean 0.2, standard deviation 0.424264
    assert found.value == pytest.approx(0.625)
    # Normal: 0.625 - 1.96 * 0.424264 / sqrt(2) = 0.037; exact, of 1 in 2: 1 - (1 - p)^2 = 0.025.
    assert found.low == pytest.approx(1 - np.sqrt(0.975))
    assert found.high == 1.0


def test_draw_probabilities_of_a_hand_solved_case():
    weights = np.array([0.5, 0.3, 0.3, 0.4]) + 0.05
    assert draw_probabilities(SUSPICION) == pytest.approx(weights / weights.sum())


def test_the_estimate_equals_a_slow_loop():
    rng = np.random.default_rng(0)
    suspicion, is_wrong = rng.random(40), rng.random(40) < 0.3
    q = draw_probabilities(suspicion)
    drawn = rng.choice(40, 25, p=q)
    terms = []
    for row in drawn:
        terms.append((float(is_wrong[row]) - suspicion[row]) / (40 * q[row]))
    value = sum(suspicion) / 40 + sum(terms) / 25
    variance = sum((term - sum(terms) / 25) ** 2 for term in terms) / 24 / 25
    found = rate_from_draws(suspicion, drawn, q[drawn], is_wrong[drawn])
    assert found.value == pytest.approx(value)
    assert found.value - found.low == pytest.approx(min(1.96 * variance**0.5, value))


@pytest.mark.parametrize("bias", [-2.0, 0.0, 2.0])
def test_the_mean_over_draws_is_the_rate_whatever_the_suspicion_and_intervals_hold_it(bias):
    rng = np.random.default_rng(1)
    truth = rng.beta(0.3, 1.5, 3000)
    is_wrong = rng.random(3000) < truth
    suspicion = 1 / (1 + np.exp(-(np.log(truth + 1e-3) - np.log(1 - truth + 1e-3) + bias)))
    q = draw_probabilities(suspicion)
    found = []
    for _ in range(600):
        drawn = rng.choice(3000, 150, p=q)
        found.append(rate_from_draws(suspicion, drawn, q[drawn], is_wrong[drawn]))
    rate = is_wrong.mean()
    assert np.mean([each.value for each in found]) == pytest.approx(rate, abs=0.005)
    assert 0.91 <= np.mean([each.low <= rate <= each.high for each in found]) <= 0.98


def test_a_sample_without_a_wrong_label_leaves_a_doubt():
    suspicion = np.full(1000, 0.01)
    found = rate_from_draws(suspicion, np.arange(60), np.full(60, 1e-3), np.zeros(60, bool))
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 60))  # (1 - p)^60 = 0.025


@pytest.mark.parametrize(("num_found", "num_missed"), [(0, 30), (0, 150), (30, 30), (300, 60), (0, 0)])
def test_intervals_hold_the_rate_where_a_detector_misses_wrong_labels(num_found, num_missed):
    rng, n = np.random.default_rng(2), 3000
    suspicion = 0.003 + 0.002 * rng.random(n)
    suspicion[:num_found] = 0.97
    is_wrong = np.arange(n) < num_found + num_missed
    q, rate = draw_probabilities(suspicion), is_wrong.mean()
    for m in (30, 60):
        samples = (rng.choice(n, m, p=q) for _ in range(300))
        found = [rate_from_draws(suspicion, rows, q[rows], is_wrong[rows]) for rows in samples]
        assert np.mean([each.low <= rate <= each.high for each in found]) >= 0.95


def test_a_share_of_a_hand_solved_case():
    found = share(8, 10)  # Wilson: (0.8 + 0.19208) / 1.38416 -+ 1.96 / 1.38416 * sqrt(0.016 + 0.009604)
    assert found.value == 0.8
    assert (found.low, found.high) == pytest.approx((0.49016, 0.94331), abs=1e-4)
    assert share(0, 5).low == 0.0


def test_a_recalibration_of_a_hand_solved_case():
    # Suspicion 1/2 is log odds 0, so only a matters: 3 of the 4 (two are added) are wrong, and at the maximum
    # of the posterior 4 expit(a) + a / 4 = 3, which a = 0.836468 solves.
    found = recalibrate(np.array([0.5, 0.5]), np.array([True, True]), np.array([0.5, 0.1]))
    a = 0.836468
    probs = [1 / (1 + np.exp(-a)), 1 / (1 + np.exp(-a) * 9)]
    assert 4 * probs[0] + a / 4 == pytest.approx(3, abs=1e-5)
    assert found.suspicion == pytest.approx(probs, abs=1e-5)
    assert found.covariance == pytest.approx(
        np.diag([1 / (4 * probs[0] * (1 - probs[0]) + 0.25), 0.25]), abs=1e-5
    )
    some = found.expected_wrong(np.array([0, 1]))
    spread = [p * (1 - p) for p in probs]
    variance = sum(spread) + sum(spread) ** 2 * found.covariance[0, 0]
    variance += (spread[1] * np.log(9)) ** 2 * 0.25
    assert some.value == pytest.approx(sum(probs), abs=1e-5)
    assert some.low == pytest.approx(max(sum(probs) - 1.96 * variance**0.5, 0), abs=1e-4)
    assert found.rate().value == pytest.approx((2 + sum(probs)) / 4, abs=1e-5)


def test_a_recalibration_is_where_a_slow_search_finds_the_posterior_highest():
    rng = np.random.default_rng(2)
    checked, is_wrong = rng.random(60), rng.random(60) < 0.2
    odds = [np.log(s / (1 - s)) for s in checked]
    rows = [*zip(odds, is_wrong, strict=True), (max(odds), False), (min(odds), True)]
    best, where = -np.inf, (0.0, 0.0)
    for a in np.linspace(-3, 0, 61):
        for b in np.linspace(-0.5, 1, 61):
            value = -(a**2) / 8 - (b - 1) ** 2 * 2
            for z, wrong in rows:
                value -= np.log1p(np.exp(-(a + b * z) if wrong else a + b * z))
            best, where = max((best, where), (value, (a, b)))
    found = recalibrate(checked, is_wrong, np.array([0.5, 0.8]))
    expected = [where[0], where[0] + where[1] * np.log(4)]
    assert np.log(found.suspicion / (1 - found.suspicion)) == pytest.approx(expected, abs=0.06)


def test_labels_that_are_all_wrong_or_all_right_leave_a_doubt():
    for is_wrong in (np.ones(60, bool), np.zeros(60, bool)):
        found = recalibrate(np.linspace(0.9, 0.99, 60), is_wrong, np.array([0.0, 0.5, 0.95]))
        assert (found.suspicion > 0).all()
        assert (found.suspicion < 1).all()
        rate = found.rate()
        assert rate.low < rate.value < rate.high
