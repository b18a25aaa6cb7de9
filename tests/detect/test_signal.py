"""Features that do not tell the labels apart: the user is told, and nothing is flagged."""

import numpy as np
import pytest

from noiseproof import find_label_issues
from noiseproof.detect.signal import Signal, signal_of

CHANCE = "predict the labels"


def test_signal_of_a_hand_solved_case():
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
    found = signal_of(scores, np.array([0, 0, 1, 1]))
    assert found.accuracy == 0.75
    assert found.most_frequent == 0.5
    assert found.ordered == pytest.approx(0.75)  # of four pairs (0.6, 0.7) is in the wrong order
    assert found.standard_error == pytest.approx((5 / 48) ** 0.5)


def test_order_of_pairs_agrees_with_a_slow_loop():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(40, 3)).round(1), rng.integers(0, 3, 40)
    slow = 0.0
    for label in range(3):
        own, others = scores[labels == label, label], scores[labels != label, label]
        wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a in own for b in others]
        slow += len(own) / 40 * np.mean(wins)
    assert signal_of(scores, labels).ordered == pytest.approx(slow)


@pytest.mark.parametrize(("share", "num_classes"), [(0.5, 2), (0.7, 2), (0.9, 2), (None, 5)])
def test_random_features_flag_nothing_and_say_so(share, num_classes):
    rng = np.random.default_rng(1)
    features = rng.normal(size=(600, 32)).astype(np.float32)
    labels = (rng.random(600) > share).astype(int) if share else rng.integers(0, num_classes, 600)
    issues = find_label_issues(features, labels)
    assert not issues.is_issue.any()
    assert any(CHANCE in note and "no label was flagged" in note for note in issues.notes)
    assert (issues.noise_rate_low, issues.noise_rate_high) == (0, 1)


@pytest.mark.parametrize("rare", [0.5, 0.1, 0.03])
def test_features_with_a_signal_get_no_such_note(rare):
    rng = np.random.default_rng(2)
    labels = (rng.random(1000) < rare).astype(int)
    features = rng.normal(size=(1000, 16)) + 2.0 * labels[:, None] * (np.arange(16) < 3)
    given = np.where(rng.random(1000) < 0.2 * rare, 1 - labels, labels)
    notes = find_label_issues(features.astype(np.float32), given).notes
    assert not any(CHANCE in note for note in notes)


def test_a_weak_signal_keeps_its_flags_with_the_note():
    signal = Signal(accuracy=0.63, most_frequent=0.63, ordered=0.53, standard_error=0.006, num_examples=8000)
    assert signal.is_beaten_by_guessing
    assert not signal.is_absent
    assert "little more than guesses" in signal.note


def test_a_signal_that_beats_guessing_but_is_weak_is_named():
    """Two halves, 60 % of them named right: most labels that look wrong are errors of the fit."""
    rng = np.random.default_rng(3)
    labels = np.arange(2000) % 2
    features = rng.normal(size=(2000, 8)) + 0.36 * labels[:, None] * (np.arange(8) == 0)
    (note,) = [
        note for note in find_label_issues(features.astype(np.float32), labels).notes if CHANCE in note
    ]
    assert "hardly predict the labels" in note
    assert "many labels that look wrong may be right" in note


def test_many_classes_with_errors_of_the_fit_are_no_weak_signal():
    rng = np.random.default_rng(4)
    labels = np.arange(1000) % 20
    features = rng.normal(size=(1000, 20)) + 2.2 * np.eye(20)[labels]
    notes = find_label_issues(features.astype(np.float32), labels).notes
    assert not any(CHANCE in note for note in notes)
