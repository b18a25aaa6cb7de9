import json

import numpy as np
import pytest
from sklearn import metrics as reference

from noiseproof.core.errors import BadData
from noiseproof.core.records import LabelIssues
from noiseproof.core.rng import stream
from noiseproof.evaluate.detection import calibration_error, detection_metrics, precision_within


def issues(given, suspicion, is_issue):
    given = np.array(given)
    return LabelIssues(
        ids=np.array([f"e{i}" for i in range(len(given))]),
        given_labels=given,
        suggested_labels=given,
        suspicion=np.array(suspicion, float),
        is_issue=np.array(is_issue, bool),
        method="test",
        joint=np.eye(int(given.max()) + 1),
        classes=np.arange(int(given.max()) + 1),
    )


def test_hand_solved_detection():
    found = detection_metrics(
        issues([0, 1, 0, 1], [0.9, 0.8, 0.3, 0.1], [1, 1, 0, 0]), np.array([1, 1, 1, 1])
    )
    assert (found.precision, found.recall, found.f1) == (0.5, 0.5, 0.5)
    assert found.auroc == pytest.approx(3 / 4)
    assert found.average_precision == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert (found.num_flagged, found.num_wrong) == (2, 2)


def test_detection_agrees_with_scikit_learn():
    rng = stream(0, "test")
    given, clean, suspicion = rng.integers(0, 3, 200), rng.integers(0, 3, 200), rng.uniform(size=200)
    found, wrong = detection_metrics(issues(given, suspicion, suspicion > 0.6), clean), given != clean
    assert found.precision == pytest.approx(reference.precision_score(wrong, suspicion > 0.6), abs=1e-12)
    assert found.recall == pytest.approx(reference.recall_score(wrong, suspicion > 0.6), abs=1e-12)
    assert found.f1 == pytest.approx(reference.f1_score(wrong, suspicion > 0.6), abs=1e-12)
    assert found.auroc == pytest.approx(reference.roc_auc_score(wrong, suspicion), abs=1e-12)
    assert found.average_precision == pytest.approx(
        reference.average_precision_score(wrong, suspicion), abs=1e-12
    )


def test_without_wrong_labels_undefined_numbers_are_none():
    found = detection_metrics(issues([0, 1], [0.2, 0.1], [0, 0]), np.array([0, 1]))
    assert found.to_json() == {
        "precision": None, "recall": None, "f1": None, "auroc": None, "average_precision": None,
        "clean_precision": 1.0, "clean_recall": 1.0, "clean_f1": 1.0, "precision_at_1": 0.0,
        "precision_at_5": 0.0, "precision_at_10": 0.0, "rate_error": 0.0, "transition_error": 0.0,
        "calibration_error": pytest.approx(0.15), "num_flagged": 0, "num_wrong": 0,
    }  # fmt: skip


def test_the_clean_selection_is_what_is_not_flagged():
    found = detection_metrics(
        issues([0, 1, 0, 1, 0], [0.9, 0.8, 0.3, 0.1, 0.2], [1, 1, 0, 0, 0]), np.array([1, 1, 1, 1, 0])
    )
    # Left are rows 2, 3 and 4, of which 3 and 4 are right; right are 1, 3 and 4.
    assert (found.clean_precision, found.clean_recall, found.clean_f1) == (2 / 3, 2 / 3, pytest.approx(2 / 3))


def test_precision_within_a_budget_by_hand():
    is_wrong, suspicion = np.array([1, 0, 1, 0, 0, 0, 0, 0, 0, 0], bool), np.linspace(0.9, 0.0, 10)
    assert precision_within(is_wrong, suspicion, 0.2) == 0.5
    assert precision_within(is_wrong, suspicion, 0.3) == pytest.approx(2 / 3)
    assert precision_within(is_wrong, suspicion, 0.001) == 1.0  # at least one is looked at


def test_ties_within_a_budget_count_by_their_share_whatever_their_order():
    suspicion = np.array([0.9, 0.5, 0.5, 0.5, 0.5, 0.1])
    for order in (np.arange(6), np.arange(6)[::-1]):
        is_wrong = np.array([0, 1, 0, 0, 1, 0], bool)[order]
        assert precision_within(is_wrong, suspicion[order], 0.5) == pytest.approx((0 + 2 * 0.5) / 3)


def test_calibration_error_by_hand():
    # One bin of two labels at 0.95, of which one is wrong, and one at 0.05, which is right.
    found = calibration_error(np.array([True, False, False]), np.array([0.95, 0.95, 0.05]))
    assert found == pytest.approx((2 * 0.45 + 1 * 0.05) / 3)


def test_transition_error_by_hand_and_by_a_loop():
    rng = stream(0, "test")
    clean, given = rng.integers(0, 3, 300), rng.integers(0, 3, 300)
    answer = issues(given, rng.uniform(size=300), np.zeros(300))
    slow = 0.0
    for i in range(3):
        of_class = given[clean == i]
        for j in range(3):
            slow += abs((i == j) - (of_class == j).mean()) / 2 * (clean == i).mean()
    assert detection_metrics(answer, clean).transition_error == pytest.approx(slow)
    assert detection_metrics(answer, clean + 1).transition_error is None  # a class it does not know


def test_with_only_wrong_labels_auroc_is_none():
    found = detection_metrics(issues([0, 1], [0.2, 0.1], [1, 0]), np.array([1, 0]))
    assert (found.auroc, found.average_precision, found.recall) == (None, 1.0, 0.5)


def test_the_numbers_go_through_json_unchanged():
    found = detection_metrics(issues([0, 1], [0.9, 0.1], [1, 0]), np.array([1, 1]))
    assert json.loads(json.dumps(found.to_json(), allow_nan=False)) == found.to_json()


def test_different_lengths_are_named():
    with pytest.raises(BadData, match=r"`clean_labels` has 1 rows, `issues` 2"):
        detection_metrics(issues([0, 1], [0.2, 0.1], [0, 0]), np.array([0]))
