"""How likely each label is right, against refits and Bayes' rule by hand."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from noiseproof import corrupt_labels, find_label_issues
from noiseproof.posterior.calibration import calibrate
from noiseproof.posterior.leave_one_out import leave_one_out
from noiseproof.posterior.trust import label_trust

K = 3


def clouds(n=90, rate=0.3, seed=0):
    rng = np.random.default_rng(seed)
    clean = np.arange(n) % K
    features = np.eye(K, 6)[clean] * 3 + rng.normal(size=(n, 6))
    return features, corrupt_labels(clean, kind="symmetric", rate=rate, num_classes=K, seed=seed)


def slow_trust(features, labels):
    """A ridge head is really fitted again without each row, then Bayes' rule over every true class."""
    ridge = leave_one_out(features, labels, num_classes=K).ridge
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    scores = []
    for row in range(len(labels)):
        rest = np.arange(len(labels)) != row
        head = Ridge(alpha=ridge).fit(unit[rest], np.eye(K)[labels[rest]])
        scores.append(head.predict(unit[[row]])[0])
    found = calibrate(np.stack(scores), labels)
    sigma = found.noise_rate * K / (K - 1)
    trust = []
    for probs, label in zip(found.probs.tolist(), labels.tolist(), strict=True):
        joint = [p * (sigma / K + (1 - sigma if true == label else 0.0)) for true, p in enumerate(probs)]
        trust.append(joint[label] / sum(joint))
    return np.array(trust)


@pytest.mark.parametrize(("rate", "seed"), [(0.0, 0), (0.3, 1), (0.5, 2)])
def test_trust_equals_a_slow_loop_of_refits(rate, seed):
    features, noisy = clouds(45, rate, seed)
    assert label_trust(features, noisy.given) == pytest.approx(slow_trust(features, noisy.given), abs=1e-5)


def test_features_that_say_nothing_by_hand():
    """Scores do not depend on the example but through its own label, so all labels of a class count alike."""
    trust = label_trust(np.ones((4, 3)), np.array([0, 0, 0, 1]))
    assert trust[:3] == pytest.approx(np.full(3, trust[0]))
    # Without its row no other example has the label 1: it is trusted less than the three that agree.
    assert 0 <= trust[3] < trust[0] <= 1


def test_wrong_labels_are_trusted_less():
    features, noisy = clouds(600, 0.4)
    trust = label_trust(features, noisy.given)
    assert trust.shape == (600,)
    assert trust[noisy.flipped].mean() < 0.2 < 0.8 < trust[~noisy.flipped].mean()


def test_labels_that_are_right_are_all_trusted():
    features, noisy = clouds(600, 0.0)
    assert label_trust(features, noisy.given).mean() > 0.97


def test_names_of_classes_do_not_matter():
    features, noisy = clouds()
    other = np.array([2, 0, 1])[noisy.given]
    assert label_trust(features, other) == pytest.approx(label_trust(features, noisy.given), abs=1e-6)


def test_it_is_what_the_detector_does_not_suspect():
    features, noisy = clouds()
    issues = find_label_issues(features, noisy.given)
    assert label_trust(features, noisy.given) == pytest.approx(1 - issues.suspicion)
