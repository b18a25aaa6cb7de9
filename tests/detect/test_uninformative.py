"""Features that tell little: right labels are left alone, and a class is never explained away."""

import math

import numpy as np
import pytest
from sklearn.datasets import make_classification

from noiseproof import find_label_issues


@pytest.mark.parametrize(("num_classes", "n", "d"), [(10, 2000, 64), (3, 600, 20), (2, 400, 20), (2, 400, 1)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_labels_that_features_do_not_tell_are_not_flagged(num_classes, n, d, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, n)
    issues = find_label_issues(rng.normal(size=(n, d)), labels)
    assert issues.is_issue.mean() <= 0.01


@pytest.mark.parametrize(("weights", "sep"), [(0.98, 0.8), (0.95, 0.3)])
def test_a_rare_class_that_is_hard_to_tell_stays(weights, sep):
    features, labels = make_classification(
        3000, 20, n_informative=5, weights=[weights], class_sep=sep, flip_y=0, random_state=0
    )
    issues = find_label_issues(features, labels)
    assert issues.is_issue[labels == 1].mean() <= 0.05


def test_rounding_leaves_no_rate_outside_its_range():
    rng = np.random.default_rng(17)
    k = int(rng.integers(2, 12))
    labels = rng.integers(0, k, 60 * k)
    features = rng.normal(size=(60 * k, 32)) + 6 * rng.normal(size=(k, 32))[labels]
    issues = find_label_issues(features, labels)
    assert issues.noise_rate >= 0
    assert 0 <= issues.noise_rate_low <= issues.noise_rate_high <= 1
    assert math.isfinite(issues.noise_rate_high)
