"""The difference of two classifiers on the same examples."""

import math

import numpy as np
import pytest

from noiseproof.evaluate.paired import paired_difference


def test_a_case_by_hand():
    """d = (0, 1, 1, 0): mean 1/2, sum of squares about it 1, so sd = sqrt(1/3)."""
    found = paired_difference(np.array([1.0, 0, 0, 0]), np.array([1.0, 1, 1, 0]))
    margin = 1.96 * math.sqrt(1 / 3) / 2
    assert found.value == 0.5
    assert (found.low, found.high) == pytest.approx((0.5 - margin, min(0.5 + margin, 1.0)))


def test_a_loop_over_examples_gives_the_same():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 4, (2, 50)) / 3
    gains = [b - a for a, b in zip(first.tolist(), second.tolist(), strict=True)]
    mean = sum(gains) / 50
    error = math.sqrt(sum((gain - mean) ** 2 for gain in gains) / 49 / 50)
    found = paired_difference(first, second)
    assert (found.value, found.low, found.high) == pytest.approx(
        (mean, mean - 1.96 * error, mean + 1.96 * error)
    )


def test_it_covers_the_true_difference_of_one_in_twenty_less():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(400):  # second is right where first is, and about a tenth of the others
        first = rng.random(200) < 0.8
        second = first | (rng.random(200) < 0.5)
        found = paired_difference(first.astype(float), second.astype(float))
        held += found.low <= 0.1 <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_one_example_tells_nothing():
    found = paired_difference(np.array([0.0]), np.array([1.0]))
    assert (found.low, found.high) == (0.0, 1.0)
