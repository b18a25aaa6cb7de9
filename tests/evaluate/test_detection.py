import json

import numpy as np
import pytest
from sklearn import metrics as reference

from noiseproof.errors import BadData
from noiseproof.evaluate.detection import detection_metrics
from noiseproof.records import LabelIssues
from noiseproof.rng import stream


def issues(given, suspicion, is_issue):
    given = np.array(given)
    return LabelIssues(
        ids=np.array([f"e{i}" for i in range(len(given))]),
        given_labels=given,
        suggested_labels=given,
        suspicion=np.array(suspicion, float),
        is_issue=np.array(is_issue, bool),
        method="test",
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
        "num_flagged": 0, "num_wrong": 0,
    }  # fmt: skip


def test_with_only_wrong_labels_auroc_is_none():
    found = detection_metrics(issues([0, 1], [0.2, 0.1], [1, 0]), np.array([1, 0]))
    assert (found.auroc, found.average_precision, found.recall) == (None, 1.0, 0.5)


def test_the_numbers_go_through_json_unchanged():
    found = detection_metrics(issues([0, 1], [0.9, 0.1], [1, 0]), np.array([1, 1]))
    assert json.loads(json.dumps(found.to_json(), allow_nan=False)) == found.to_json()


def test_different_lengths_are_named():
    with pytest.raises(BadData, match=r"`clean_labels` has 1 rows, `issues` 2"):
        detection_metrics(issues([0, 1], [0.2, 0.1], [0, 0]), np.array([0]))
