"""Expected counts on disk, by hand and back."""

import json

import numpy as np
import pytest

from noiseproof import find_label_issues
from noiseproof.export import confusions
from noiseproof.export.confusions import joint_from, list_confusions
from noiseproof.export.issue_files import load_issues, write_issues


def restored(joint, names):
    listed = list_confusions(joint, names)
    return joint_from(json.loads(json.dumps(listed)), joint.sum(1), np.diag(joint), names)


def test_by_hand():
    joint = np.array([[5.0, 2.0, 0.004], [0.0, 7.0, 0.5], [0.002, 0.004, 9.0]])
    assert list_confusions(joint, "abc") == [
        {"true": "a", "given": "b", "expected": 2.0},
        {"true": "b", "given": "c", "expected": 0.5},
    ]
    # What is not listed keeps its sum in each row: 0.006 of c, half for a and half for b.
    expected = np.array([[5.0, 2.0, 0.004], [0.0, 7.0, 0.5], [0.003, 0.003, 9.0]])
    assert restored(joint, "abc") == pytest.approx(expected)


@pytest.mark.parametrize("block", [1, 100, 2**22])
def test_rows_and_rate_come_back_whatever_is_left_out(monkeypatch, block):
    monkeypatch.setattr(confusions, "_BLOCK_NUMBERS", block)
    rng = np.random.default_rng(0)
    joint = rng.exponential(0.02, size=(30, 30)) + np.diag(rng.uniform(5, 10, 30))
    found = restored(joint, [str(i) for i in range(30)])
    assert found.sum(1) == pytest.approx(joint.sum(1), rel=1e-5)
    assert np.diag(found) == pytest.approx(np.diag(joint))
    assert np.abs(found - joint).max() < confusions.LEAST_EXPECTED


def test_no_pair_at_all():
    joint = np.diag([3.0, 4.0])
    assert list_confusions(joint, "ab") == []
    assert restored(joint, "ab").tolist() == joint.tolist()


def test_the_file_of_many_classes_is_small(tmp_path):
    rng = np.random.default_rng(0)
    clean = np.arange(900) % 300
    features = rng.normal(size=(300, 40))[clean] + 0.3 * rng.normal(size=(900, 40))
    given = np.where(rng.random(900) < 0.1, rng.integers(300, size=900), clean)
    issues = find_label_issues(features.astype(np.float32), given)
    write_issues(issues, tmp_path)
    assert (tmp_path / "label_issues.json").stat().st_size < 400_000  # all pairs: 2 MB and more
    loaded = load_issues(tmp_path)
    assert loaded.noise_rate == pytest.approx(issues.noise_rate, abs=1e-5)
    assert loaded.transition.sum(1) == pytest.approx(np.ones(300))
