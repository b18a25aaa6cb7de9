"""The difference of two classifiers on the same examples."""

import math

import numpy as np
import pytest

from noiseproof.core.errors import InvalidArgument
from noiseproof.evaluate.paired import paired_difference


def test_a_case_by_hand():
    """d = (0, 1, 1, 0), with +1 and -1 beside: mean 1/3, mean square 4/6, so variance 5/9."""
    found = paired_difference(np.array([1.0, 0, 0, 0]), np.array([1.0, 1, 1, 0]))
    margin = 1.96 * math.sqrt(5 / 9) / math.sqrt(6)
    assert found.value == 0.5
    assert (found.low, found.high) == pytest.approx((1 / 3 - margin, 1 / 3 + margin))


def test_the_published_form_for_one_seed_gives_the_same():
    """By counts: p12 = (n12 + 1) / (n + 2), p21 = (n21 + 1) / (n + 2)."""
    first, second = np.random.default_rng(3).integers(0, 2, (2, 40)).astype(float)
    gained, lost = int((second > first).sum()), int((first > second).sum())
    up, down = (gained + 1) / 42, (lost + 1) / 42
    error = math.sqrt((up + down - (up - down) ** 2) / 42)
    found = paired_difference(first, second)
    assert (found.low, found.high) == pytest.approx((up - down - 1.96 * error, up - down + 1.96 * error))


def test_a_loop_over_examples_gives_the_same():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 4, (2, 50)) / 3
    gains = [b - a for a, b in zip(first.tolist(), second.tolist(), strict=True)]
    more = [*gains, 1.0, -1.0]
    mean = sum(more) / 52
    error = math.sqrt(sum((gain - mean) ** 2 for gain in more) / 52 / 52)
    found = paired_difference(first, second)
    assert (found.value, found.low, found.high) == pytest.approx(
        (sum(gains) / 50, mean - 1.96 * error, mean + 1.96 * error)
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


@pytest.mark.parametrize(("n", "num_gained"), [(1, 1), (2, 2), (3, 3), (60, 3), (1000, 4)])
def test_few_examples_that_differ_tell_nothing(n, num_gained):
    """A sign test needs six, all in one direction."""
    gain = (np.arange(n) < num_gained).astype(float)
    assert paired_difference(np.zeros(n), gain).low < 0
    assert paired_difference(gain, np.zeros(n)).high > 0


def test_seven_of_a_hundred_tell_something():
    assert paired_difference(np.zeros(100), (np.arange(100) < 7).astype(float)).low > 0


def test_no_example_is_refused():
    with pytest.raises(InvalidArgument, match="at least one example"):
        paired_difference(np.empty(0), np.empty(0))
