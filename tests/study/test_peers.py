import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from noiseproof.core.errors import MissingExtra
from noiseproof.study.measures.peers import cleanlab_issues, import_cleanlab

pytest.importorskip("cleanlab")
NAMES = ("ant", "bee", "cat")


def examples():
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    features = rng.normal(size=(90, 5))
    features[np.arange(90), labels] += 3
    given = np.where(rng.random(90) < 0.3, (labels + 1) % 3, labels)
    return features, given


@pytest.mark.parametrize("strength", [1.0, 0.01])
def test_the_peer_is_five_fold_regression_judged_by_cleanlab(strength):
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    features, given = examples()
    head = LogisticRegression(C=strength, max_iter=200)
    probs = cross_val_predict(head, features, given, cv=5, method="predict_proba")
    found = cleanlab_issues(features, given, NAMES, C=strength)
    assert found.suspicion == pytest.approx(1 - get_label_quality_scores(given, probs))
    assert np.array_equal(found.is_issue, find_label_issues(given, probs, n_jobs=1))
    assert np.array_equal(found.suggested_labels, probs.argmax(1))
    assert found.joint.sum() == pytest.approx(90)
    # Columns are the given labels, of which there are as many as there are.
    assert found.joint.sum(0) == pytest.approx(np.bincount(given))
    assert found.joint[0, 1] > found.joint[1, 0]  # ants are given for bees, not bees for ants


def test_a_class_that_is_never_given_has_a_place():
    features, given = examples()
    keep = given != 1
    found = cleanlab_issues(features[keep], given[keep], NAMES)
    assert set(found.suggested_labels) <= {0, 2}
    assert found.joint.shape == (3, 3)
    assert not found.joint[1].any()
    assert not found.joint[:, 1].any()


def test_without_cleanlab_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cleanlab.count", None)
    with pytest.raises(MissingExtra, match=r"noiseproof\[peers\]"):
        import_cleanlab()
