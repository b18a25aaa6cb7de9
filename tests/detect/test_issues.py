import numpy as np
import pandas as pd
import pytest
import torch

from noiseproof.core.errors import BadData, InvalidArgument, UnknownName
from noiseproof.detect.find_issues import find_label_issues


def blobs(n=120, k=3, d=6, seed=0):
    """Clear classes; every eleventh label is wrong, in every direction as often."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % k
    features = np.eye(k, d)[truth] * 4 + rng.normal(size=(n, d)) * 0.4
    given = truth.copy()
    given[::11] = (truth[::11] + 1 + np.arange(len(truth[::11])) % (k - 1)) % k
    return features, given, truth


def test_planted_wrong_labels_are_found_and_corrected():
    features, given, truth = blobs()
    issues = find_label_issues(features, given)
    assert np.array_equal(issues.is_issue, given != truth)
    assert np.array_equal(issues.suggested_labels, truth)
    assert issues.suspicion[given != truth].min() > issues.suspicion[given == truth].max()
    assert issues.noise_rate == pytest.approx(11 / 120, abs=0.02)
    assert issues.method == "leave_one_out"


def test_clean_labels_have_no_issues():
    features, _, truth = blobs()
    issues = find_label_issues(features, truth)
    assert not issues.is_issue.any()
    assert np.array_equal(issues.suggested_labels, truth)


def test_suggestion_is_the_preferred_class_and_another_one_where_there_is_an_issue():
    rng = np.random.default_rng(0)
    features, given = rng.normal(size=(80, 5)) + 2 * np.eye(4, 5)[np.arange(80) % 4], rng.integers(4, size=80)
    given = np.where(rng.random(80) < 0.5, np.arange(80) % 4, given)
    issues = find_label_issues(features, given)
    assert issues.is_issue.any()
    assert not issues.is_issue.all()
    kept = ~issues.is_issue
    assert np.array_equal(issues.suggested_labels[kept], issues.probs[kept].argmax(1))
    assert (issues.suggested_labels[kept] != given[kept]).any()
    assert np.array_equal(issues.is_issue, issues.suspicion > 0.5)
    # The suggestion is the most probable of the other classes.
    for row in np.flatnonzero(issues.is_issue):
        others = [c for c in range(4) if c != given[row]]
        assert issues.suggested_labels[row] == max(others, key=lambda c: issues.probs[row, c])


@pytest.mark.parametrize(
    "names", [["cat", "dog", "emu"], [10, 20, 30], [2.5, 3.5, 9.0], ["10", "9", "8"], [True, False]]
)
def test_labels_of_any_type_come_back_as_they_went_in(names):
    features, given, truth = blobs(k=len(names))
    named = np.array(names)
    issues = find_label_issues(features, named[given])
    assert issues.given_labels.tolist() == named[given].tolist()
    assert issues.suggested_labels.tolist() == named[truth].tolist()
    assert issues.suggested_labels.dtype == named.dtype


def test_labels_in_a_list_and_in_a_series_are_the_same():
    features, given, _ = blobs()
    names = np.array(["cat", "dog", "emu"], dtype=object)[given]
    from_list = find_label_issues(features.tolist(), names.tolist())
    from_series = find_label_issues(features, pd.Series(names))
    assert from_list.suspicion == pytest.approx(from_series.suspicion)
    assert from_list.suggested_labels.tolist() == from_series.suggested_labels.tolist()


def test_class_names_are_shown_and_empty_classes_allowed():
    features, given, truth = blobs()
    issues = find_label_issues(features, given, class_names=("cat", "dog", "emu", "unicorn"))
    frame = issues.to_frame()
    assert frame["given_label"].tolist() == [("cat", "dog", "emu")[label] for label in given]
    assert frame["suggested_label"].tolist() == [("cat", "dog", "emu")[label] for label in truth]
    assert issues.given_labels.tolist() == given.tolist()
    assert issues.probs.shape == (120, 4)


def test_ids_are_kept():
    features, given, _ = blobs()
    ids = np.array([f"photo-{i}" for i in range(120)])
    assert find_label_issues(features, given, ids=ids).ids.tolist() == ids.tolist()
    assert find_label_issues(features, given, ids=ids.tolist()).to_frame()["example_id"].tolist() == list(ids)
    assert find_label_issues(features, given).ids.tolist() == list(range(120))


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float16, 0.02), (np.float32, 1e-4), (np.int32, 1e-9)])
def test_number_types_agree(dtype, tolerance):
    features, given, _ = blobs()
    features = np.round(features * 100) if dtype == np.int32 else features
    exact = find_label_issues(features, given)
    narrow = find_label_issues(features.astype(dtype), given)
    assert narrow.suspicion == pytest.approx(exact.suspicion, abs=tolerance)
    assert narrow.suspicion.dtype == np.float64


def test_memory_mapped_features(tmp_path):
    features, given, _ = blobs()
    np.save(tmp_path / "f.npy", features)
    mapped = np.load(tmp_path / "f.npy", mmap_mode="r")
    assert np.array_equal(
        find_label_issues(mapped, given).suspicion, find_label_issues(features, given).suspicion
    )


def test_inputs_are_left_alone():
    features, given, _ = blobs()
    before = features.copy(), given.copy()
    find_label_issues(features, given)
    assert np.array_equal(features, before[0])
    assert np.array_equal(given, before[1])


# Errors


def test_unknown_method():
    with pytest.raises(
        UnknownName, match=r"Unknown detector 'leave_on_out'\. Did you mean 'leave_one_out'\?"
    ):
        find_label_issues(*blobs()[:2], method="leave_on_out")


@pytest.mark.parametrize("length", [0, 119, 121])
def test_labels_of_another_length(length):
    features = blobs()[0]
    with pytest.raises(BadData, match=f"`given_labels` has {length} rows, `features` 120"):
        find_label_issues(features, np.arange(length) % 2)


def test_ids_of_another_length():
    features, given, _ = blobs()
    with pytest.raises(BadData, match="`ids` has 3 rows, `features` 120"):
        find_label_issues(features, given, ids=[1, 2, 3])


def test_duplicate_ids():
    features, given, _ = blobs()
    with pytest.raises(BadData, match="duplicate ids: 7"):
        find_label_issues(features, given, ids=np.where(np.arange(120) == 8, 7, np.arange(120)))


@pytest.mark.parametrize("shape", [(120,), (120, 2, 3)])
def test_features_of_other_shapes(shape):
    with pytest.raises(
        InvalidArgument, match=r"`features` is \(120.*allowed: an array of two axes, \(n, d\)"
    ):
        find_label_issues(np.zeros(shape), np.arange(120) % 2)


def test_labels_of_other_shapes():
    features, given, _ = blobs()
    with pytest.raises(InvalidArgument, match=r"`given_labels` is \(120, 1\); allowed: an array of one axis"):
        find_label_issues(features, given[:, None])


def test_label_outside_the_classes():
    features, given, _ = blobs()
    given[17] = 5
    with pytest.raises(
        BadData, match="Label 5 in row 17 of 'given_labels' is outside the classes; allowed: 0 to 2"
    ):
        find_label_issues(features, given, class_names=("a", "b", "c"))


def test_names_as_labels_where_class_names_are_given():
    features, given, _ = blobs()
    with pytest.raises(InvalidArgument, match=r"`given_labels` is '.*'; allowed: class ids"):
        find_label_issues(features, given.astype(str), class_names=("0", "1", "2"))


@pytest.mark.parametrize("labels", [[None, "cat"], [float("nan"), 1.0]])
def test_missing_labels_are_named(labels):
    features = blobs()[0]
    with pytest.raises(BadData, match=r"`given_labels`.*row 0"):
        find_label_issues(features, np.array(labels * 60))


def test_a_bad_row_beyond_the_first_block_is_named_by_its_own_number():
    features = np.zeros((8300, 2), np.float32)
    features[8250] = np.nan
    with pytest.raises(BadData, match="NaN or infinity in row 8250 "):
        find_label_issues(features, np.arange(8300) % 2)


def test_labels_of_types_without_an_order():
    with pytest.raises(BadData, match="mixes types that cannot be ordered"):
        find_label_issues(np.eye(4), np.array([1, "a", 1, "a"], dtype=object))


def test_features_of_strings():
    with pytest.raises(InvalidArgument, match="allowed: an array of real numbers"):
        find_label_issues(np.full((4, 2), "a"), [0, 1, 0, 1])


def test_data_frames_are_taken():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = np.eye(3)[labels] + rng.normal(scale=0.2, size=(60, 3))
    plain = find_label_issues(features, labels)
    framed = find_label_issues(pd.DataFrame(features), pd.Series(labels))
    np.testing.assert_allclose(framed.suspicion, plain.suspicion, rtol=1e-9)


def test_names_of_classes_are_all_different():
    with pytest.raises(BadData, match="`class_names` has more than one class of the name 'a'"):
        find_label_issues(np.eye(4), [0, 1, 0, 1], class_names=("a", "a"))


def test_columns_of_a_data_frame_are_found_by_their_names():
    labels = np.array(list("abcabc"))
    probs = np.eye(3)[[0, 1, 2, 0, 1, 1]] * 0.7 + 0.1
    in_order = find_label_issues(None, labels, probs=probs)
    frame = pd.DataFrame(probs, columns=list("abc"))
    for given in (frame, frame[["c", "a", "b"]], frame.set_axis([0, 1, 2], axis=1)):
        found = find_label_issues(None, labels, probs=given)
        assert found.is_issue.tolist() == in_order.is_issue.tolist() == [False] * 5 + [True]
    with pytest.raises(BadData, match=r"`probs` has no column for the class 'c' .*columns: a, b, z"):
        find_label_issues(None, labels, probs=frame.set_axis(["a", "b", "z"], axis=1))
    named = find_label_issues(None, [0, 1, 2, 0, 1, 2], probs=frame[["b", "c", "a"]], class_names=list("abc"))
    assert named.is_issue.tolist() == in_order.is_issue.tolist()


def test_tensors_are_taken():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = np.eye(3)[labels] + rng.normal(scale=0.2, size=(60, 3))
    found = find_label_issues(torch.tensor(features), torch.tensor(labels))
    assert found.suspicion.tolist() == find_label_issues(features, labels).suspicion.tolist()


def test_features_that_are_all_the_same_are_refused():
    with pytest.raises(BadData, match=r"All rows of `features` are equal; .* Next: check the encoder"):
        find_label_issues(np.full((9000, 3), 0.1), np.arange(9000) % 3)


def test_features_whose_squares_overflow_are_refused():
    features = np.random.default_rng(0).normal(size=(9000, 3))
    features[8500, 1] = -1e30
    with pytest.raises(BadData, match=r"`features` has 1e\+30 in row 8500; allowed: numbers up to 1e\+15"):
        find_label_issues(features, np.arange(9000) % 3)


@pytest.mark.parametrize("n", [3, 30, 60, 150])
def test_clean_labels_of_few_examples_are_no_pattern(n):
    """A matrix may explain them a little better, but it finds nothing that went wrong."""
    labels = np.arange(n) % 3
    features = np.eye(3)[labels] + np.random.default_rng(0).normal(scale=0.2, size=(n, 3))
    found = find_label_issues(features, labels)
    assert found.method == ("transition" if n == 150 else "leave_one_out")
    assert not found.is_issue.any()
