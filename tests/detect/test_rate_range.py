"""The range of the noise rate, by hand."""

import numpy as np
import pytest

from noiseproof import corrupt_labels, find_label_issues
from noiseproof.detect.detector_result import DetectorResult
from noiseproof.detect.rate_range import with_rate_range


def rate_range(probs, suspicion, joint):
    """Of 25 copies of four examples, given 0, 0, 1, 1."""
    suspicion = np.tile(suspicion, 25)
    result = DetectorResult(
        suspicion, suspicion > 0.5, np.zeros(100, int), np.array(joint, float), "leave_one_out"
    )
    return with_rate_range(result, np.tile(probs, (25, 1)), np.tile([0, 0, 1, 1], 25)).rate_range


def test_range_by_hand():
    probs = np.array([[0.9, 0.1], [0.05, 0.95], [0.1, 0.9], [0.1, 0.9]])
    low, high = rate_range(probs, [0.1, 0.8, 0.1, 0.1], [[30, 0], [25, 45]])
    # Flagged: 25 labels, 20 of them wrong: 0.2, with a standard error of sqrt(0.2 x 0.8 / 100) = 0.04.
    assert low == pytest.approx(0.2 - 1.96 * 0.04)
    # Thresholds 0.475 and 0.9: the 25 are confidently of class 1, a quarter of all labels.
    assert high == pytest.approx(0.25 + 1.96 * np.sqrt(0.25 * 0.75 / 100))


def test_the_estimate_is_always_inside():
    probs = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]])
    assert rate_range(probs, [0.1, 0.1, 0.1, 0.1], [[45, 5], [5, 45]]) == pytest.approx((0.0, 0.1))
    assert rate_range(probs, [0.9, 0.9, 0.9, 0.9], [[50, 0], [0, 50]]) == pytest.approx((0.0, 0.0))


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("n", [90, 900])
def test_the_truth_is_inside(n, rate):
    rng = np.random.default_rng(0)
    clean = np.arange(n) % 3
    features = np.eye(3, 5)[clean] * 3 + rng.normal(size=(n, 5))
    noisy = corrupt_labels(clean, kind="symmetric", rate=rate, num_classes=3, seed=0)
    for method in ("auto", "leave_one_out", "transition"):
        found = find_label_issues(features, noisy.given, method=method)
        assert found.noise_rate_low <= found.noise_rate <= found.noise_rate_high
        assert found.noise_rate_low <= noisy.flipped.mean() <= found.noise_rate_high


def test_detectors_that_only_decide_have_no_range():
    features = np.random.default_rng(0).normal(size=(60, 4))
    found = find_label_issues(features, np.arange(60) % 2, method="neighbours")
    assert found.noise_rate_low is None
    assert found.noise_rate_high is None
