import numpy as np
import pytest
from cleanlab.filter import find_label_issues as cleanlab_issues

from noiseproof import find_label_issues
from noiseproof.core.errors import BadData, InvalidArgument
from noiseproof.detect import confident_learning
from noiseproof.detect.confident_learning import (
    calibrated_joint,
    class_thresholds,
    confidence,
    confident_joint,
    confident_rate,
)


def drawn(seed, n=300, k=5, sharpness=2.0):
    """Probabilities, and given labels drawn from flatter ones."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, k)) * sharpness
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return probs, (logits + rng.gumbel(size=(n, k)) * 1.5).argmax(1)


def test_by_hand():
    """Thresholds: class 0 mean(.9, .7, .1) = .567, class 1 mean(.8, .6) = .7."""
    probs = np.array([[0.9, 0.1], [0.7, 0.3], [0.1, 0.9], [0.2, 0.8], [0.4, 0.6]])
    given = np.array([0, 0, 0, 1, 1])
    assert class_thresholds(probs, given) == pytest.approx([1.7 / 3, 0.7])
    found = confidence(probs, given)
    assert found.confident.tolist() == [0, 0, 1, 1, -1]  # .6 for class 1 is less than usual
    assert confident_joint(found, given, num_classes=2).tolist() == [[2, 1], [0, 1]]
    issues = find_label_issues(None, given, method="confident_learning", probs=probs)
    assert issues.is_issue.tolist() == [False, False, True, False, False]
    assert issues.suggested_labels.tolist() == [0, 0, 1, 1, 1]
    assert issues.suspicion == pytest.approx([0.1, 0.3, 0.9, 0.2, 0.4])
    # Two thirds of what was given 0 is 0; all of what was given 1 is 1.
    assert issues.joint == pytest.approx(np.array([[2, 0], [1, 2]]))
    assert issues.noise_rate == pytest.approx(0.2)


def slow_confidence(probs, given):
    """The paper's Eq. 1, an example at a time."""
    k, pairs = probs.shape[1], list(zip(probs, given, strict=True))
    thresholds = [np.mean([p[j] for p, label in pairs if label == j]) for j in range(k)]
    found = []
    for p in probs:
        sure = [j for j in range(k) if p[j] >= thresholds[j] - 1e-6]
        found.append(max(sure, key=lambda j: p[j]) if sure else -1)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_confident_classes_equal_a_slow_loop(seed):
    probs, given = drawn(seed)
    assert confidence(probs, given).confident.tolist() == slow_confidence(probs, given)


@pytest.mark.parametrize("seed", range(5))
def test_the_rate_is_that_of_the_joint(seed):
    """Also with a class that nobody confidently has (its last examples get other labels) and a rare one."""
    probs, given = drawn(seed)
    given[given == 4] = np.arange((given == 4).sum()) % 4
    given[0] = 4
    found = confidence(probs, given)
    joint = calibrated_joint(confident_joint(found, given, num_classes=5), given)
    assert confident_rate(found, given) == pytest.approx(1 - np.trace(joint) / joint.sum(), abs=1e-12)


def test_of_several_classes_that_reach_their_threshold_the_most_probable_counts(monkeypatch):
    """Thresholds .9, .35 and .201: .40 of class 0 is too little, .37 of 1 and .23 of 2 are not."""
    monkeypatch.setattr(confident_learning, "class_thresholds", lambda *_: np.array([0.9, 0.35, 0.201]))
    found = confidence(np.array([[0.40, 0.37, 0.23]]), np.array([2]))
    assert found.preferred.tolist() == [0]
    assert found.confident.tolist() == [1]


def several_others_reach(probs, given):
    """Rows where Eq. 1 and cleanlab differ: the best class misses its threshold, several others do not."""
    thresholds = class_thresholds(probs, given) - 1e-6
    reached = probs >= thresholds
    return ~reached[np.arange(len(probs)), probs.argmax(1)] & (reached.sum(1) > 1)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_flags_are_those_of_cleanlab_but_where_several_other_classes_reach(seed, dtype):
    probs, given = drawn(seed, k=2 + seed)
    probs = probs.astype(dtype)
    theirs = cleanlab_issues(given, probs, filter_by="confident_learning", n_jobs=1)
    ours = find_label_issues(None, given, method="confident_learning", probs=probs)
    is_tie = several_others_reach(probs, given)
    assert ours.is_issue[~is_tie].tolist() == theirs[~is_tie].tolist()
    assert theirs.any()
    assert is_tie.mean() < 0.1


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_blocks_of_rows_change_nothing(monkeypatch, block):
    probs, given = drawn(0, n=600)
    whole = confidence(probs, given)
    monkeypatch.setattr(confident_learning, "_BLOCK_NUMBERS", block)
    parts = confidence(probs, given)
    assert parts.confident.tolist() == whole.confident.tolist()
    assert parts.of_given.tolist() == whole.of_given.tolist()


def test_probabilities_on_disk_are_read_in_blocks(tmp_path):
    probs, given = drawn(1)
    np.save(tmp_path / "probs.npy", probs)
    mapped = np.load(tmp_path / "probs.npy", mmap_mode="r")
    ours = find_label_issues(None, given, probs=mapped)
    assert ours.method == "confident_learning"
    assert "because only `probs` was given" in ours.notes[-1]
    assert ours.suspicion.tolist() == find_label_issues(None, given, probs=probs).suspicion.tolist()


def test_a_class_that_nobody_was_given_is_nobodys_confident_class():
    probs, given = drawn(2, k=3)
    probs = np.c_[probs * 0.5, np.full(len(probs), 0.5)]
    found = find_label_issues(
        None, given, probs=probs, method="confident_learning", class_names=("a", "b", "c", "nobody")
    )
    assert found.joint[3].sum() == 0
    assert found.transition[3].tolist() == [0, 0, 0, 1]


def test_probabilities_that_are_none_are_refused():
    probs, given = drawn(3)
    with pytest.raises(
        BadData, match=r"Row 7 of `probs` has the sum .* Next: pass the output of `predict_proba`"
    ):
        find_label_issues(None, given, probs=np.where(np.arange(300)[:, None] == 7, 3 * probs, probs))
    with pytest.raises(InvalidArgument, match=r"`probs` is 'of shape \(300, 4\)'; allowed: 5 columns"):
        find_label_issues(None, given, probs=probs[:, :4] / probs[:, :4].sum(1, keepdims=True))
    with pytest.raises(BadData, match="`given_labels` has 300 rows, `probs` 299"):
        find_label_issues(None, given, probs=probs[1:])


def test_nothing_is_confidently_of_a_class_with_one_example():
    rng = np.random.default_rng(0)
    clean = np.arange(300) % 3
    features = 3 * np.eye(3, 8)[clean] + rng.normal(size=(300, 8))
    given = np.where(rng.random(300) < 0.1, (clean + 1) % 3, clean)
    given[0] = 3
    found = find_label_issues(features, given, method="confident_learning")
    assert (found.suggested_labels[1:] != 3).all()
