"""Softmax in blocks, against sums by hand, scipy and differences."""

import math

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from noiseproof.posterior import row_softmax
from noiseproof.posterior.row_softmax import given_log_probs, other_probs, softmax_rows


def test_by_hand():
    # Sharpness 2 and scores 0 and ln 3: powers 1 and 9. The mean score is 0.9 ln 3.
    scores = np.array([[0.0, math.log(3)]])
    assert softmax_rows(scores, 2.0) == pytest.approx(np.array([[0.1, 0.9]]))
    log_probs, derivatives = given_log_probs(scores, np.array([0]), 2.0)
    assert log_probs == pytest.approx([math.log(0.1)])
    assert derivatives == pytest.approx([-0.9 * math.log(3)])


@pytest.mark.parametrize("block", [1, 20, 2**17])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_to_scipy_in_any_blocks(monkeypatch, block, dtype):
    monkeypatch.setattr(row_softmax, "_BLOCK_NUMBERS", block)
    rng = np.random.default_rng(0)
    scores, given = rng.normal(size=(30, 7)).astype(dtype), rng.integers(7, size=30)
    tolerance = {"rel": 1e-5 if dtype == np.float32 else 1e-12}
    assert softmax_rows(scores, 9.0).dtype == dtype
    assert softmax_rows(scores, 9.0) == pytest.approx(softmax(9.0 * scores, axis=1), **tolerance)
    log_probs, _ = given_log_probs(scores, given, 9.0)
    expected = log_softmax(9.0 * scores, axis=1)[np.arange(30), given]
    assert log_probs == pytest.approx(expected, abs=1e-5)


def test_derivative_equals_a_difference():
    rng = np.random.default_rng(0)
    scores, given = rng.normal(size=(30, 7)), rng.integers(7, size=30)
    _, derivatives = given_log_probs(scores, given, 5.0)
    above, below = (given_log_probs(scores, given, 5.0 + step)[0] for step in (1e-5, -1e-5))
    assert derivatives == pytest.approx((above - below) / 2e-5, abs=1e-8)


def test_large_scores_do_not_overflow():
    scores = np.array([[1e4, 0.0]], np.float32)
    assert softmax_rows(scores, 1e4).tolist() == [[1.0, 0.0]]
    assert given_log_probs(scores, np.array([1]), 1e4)[0] == pytest.approx([-1e8])


def test_probability_of_the_other_classes_keeps_its_digits():
    scores = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.5]], np.float32)
    found = other_probs(scores, np.array([0, 0]), 400.0)
    assert found == pytest.approx([2 * math.exp(-400), 1.0], rel=1e-12)
    rng = np.random.default_rng(0)
    scores, given = rng.normal(size=(30, 7)), rng.integers(7, size=30)
    expected = 1 - softmax(3.0 * scores, axis=1)[np.arange(30), given]
    assert other_probs(scores, given, 3.0) == pytest.approx(expected)
