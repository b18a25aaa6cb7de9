import dataclasses
import json
import math

import numpy as np
import pytest

from noiseproof.core.checks import check_finite, check_label_range, check_unique_ids
from noiseproof.core.errors import BadData, InvalidArgument
from noiseproof.core.records import Dataset, LabelIssues, NoisyLabels, SpectrumCard, rows_by_id


def dataset(**changes) -> Dataset:
    values = {
        "name": "toy", "kind": "text", "examples": ["a", "b", "c"], "ids": np.array(["x", "y", "z"]),
        "given_labels": np.array([0, 1, 0]), "class_names": ("cat", "dog"), "fingerprint": "f" * 64,
    }  # fmt: skip
    return Dataset(**values | changes)


def issues(**changes) -> LabelIssues:
    values = {
        "ids": np.array([7, 8, 9]), "given_labels": np.array([0, 1, 1]), "method": "toy",
        "suggested_labels": np.array([0, 0, 1]), "suspicion": np.array([0.0, 0.75, 0.15]),
        "is_issue": np.array([False, True, False]), "joint": np.array([[1.0, 1.0], [0.0, 1.0]]),
        "classes": np.array([0, 1]),
    }  # fmt: skip
    return LabelIssues(**values | changes)


# Dataset


def test_a_data_set_counts_its_examples():
    assert len(dataset()) == 3
    assert dataset(given_labels=None, class_names=()).given_labels is None


def test_records_are_frozen():
    for record, field in ((dataset(), "name"), (issues(), "method")):
        with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot assign to field '{field}'"):
            setattr(record, field, "other")


def test_an_empty_data_set_is_refused():
    with pytest.raises(BadData, match="The data set 'toy' is empty"):
        dataset(examples=[], ids=np.array([]), given_labels=None)


@pytest.mark.parametrize(
    ("field", "shown"), [("ids", "ids"), ("given_labels", "labels"), ("clean_labels", "labels")]
)
def test_columns_of_another_length_are_refused(field, shown):
    with pytest.raises(BadData, match=f"'toy': `{shown}` has 2 rows, the examples 3; they must agree"):
        dataset(**{"given_labels": None} | {field: np.array([0, 1])})


def test_duplicate_ids_are_refused():
    with pytest.raises(BadData, match=r"'toy' has duplicate ids: 'x' and 0 more\. Allowed: each id once"):
        dataset(ids=np.array(["x", "x", "z"]))


@pytest.mark.parametrize("field", ["given_labels", "clean_labels"])
@pytest.mark.parametrize("label", [-1, 2, 99])
def test_a_label_outside_the_classes_is_refused(field, label):
    with pytest.raises(
        BadData, match=f"Label {label} in row 1 of 'toy' is outside the classes; allowed: 0 to 1"
    ):
        dataset(**{field: np.array([0, label, 1])})


def test_two_classes_of_one_name_are_refused():
    with pytest.raises(
        BadData, match=r"'toy' has more than one class of the name 'cat'; allowed: each name once"
    ):
        dataset(class_names=("dog", "cat", "cat"))


# Label issues


def test_noise_rate_and_transition_follow_from_the_joint():
    assert issues().noise_rate == pytest.approx(1 / 3)
    assert issues().transition.tolist() == [[0.5, 0.5], [0, 1]]
    assert issues(joint=np.array([[0.0, 0.0], [1.0, 2.0]])).transition.tolist() == [[1, 0], [1 / 3, 2 / 3]]


def test_the_class_table_tells_what_each_given_label_really_is():
    table = issues(class_names=("cat", "dog")).class_table()
    assert table.to_dict(orient="list") == {
        "given_label": ["cat", "dog"], "num_examples": [1, 2], "num_issues": [0, 1],
        "noise_rate": [0.0, 0.5], "mostly_is": ["", "cat"],
    }  # fmt: skip


def test_a_frame_has_the_columns_of_the_file():
    frame = issues().to_frame()
    assert list(frame) == ["example_id", "given_label", "suggested_label", "suspicion", "is_issue"]
    assert frame["example_id"].tolist() == [7, 8, 9]
    assert frame["suggested_label"].tolist() == [0, 0, 1]
    named = issues(class_names=("cat", "dog")).to_frame()
    assert named["given_label"].tolist() == ["cat", "dog", "dog"]
    assert named["suggested_label"].tolist() == ["cat", "cat", "dog"]


@pytest.mark.parametrize("field", ["ids", "given_labels", "suggested_labels"])
def test_issues_of_another_length_are_refused(field):
    with pytest.raises(BadData, match=f"'toy': `{field}` has 2 rows, the examples 3"):
        issues(**{field: getattr(issues(), field)[:2]})


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan")])
def test_suspicion_outside_the_unit_interval_is_refused(value):
    with pytest.raises(BadData, match=r"Detector 'toy' gave a suspicion outside \[0, 1\]"):
        issues(suspicion=np.array([0.5, value, 0.5]))


# Noise and spectrum


def test_realised_rate_counts_what_changed():
    flipped = np.array([True, False, False, False])
    noisy = NoisyLabels(
        np.array([1, 0, 0, 1]), np.array([0, 0, 0, 1]), flipped, "symmetric", 0.3, np.eye(2), seed=0
    )
    assert noisy.realised_rate == pytest.approx(0.25)
    nothing = np.zeros(0, np.int64)
    empty = NoisyLabels(nothing, nothing, nothing.astype(bool), "symmetric", 0.3, np.eye(2), seed=0)
    assert empty.realised_rate == 0.0


@pytest.mark.parametrize("field", ["given", "flipped"])
def test_noise_of_another_length_is_refused(field):
    labels = {"given": np.array([1, 0]), "clean": np.array([0, 0]), "flipped": np.array([True, False])}
    labels[field] = labels[field][:1]
    unchecked = object.__new__(NoisyLabels)  # in tests, annotated shapes are checked before the record's own
    vars(unchecked).update(labels, kind="symmetric", asked_rate=0.5)
    with pytest.raises(BadData, match=f"'symmetric': `{field}` has 1 rows, the examples 2; they must agree"):
        unchecked.__post_init__()


@pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan")])
def test_noise_with_a_rate_that_is_no_share_is_refused(rate):
    nothing = np.zeros(0, np.int64)
    with pytest.raises(InvalidArgument, match=f"`asked_rate` is {rate}; allowed: a share between 0 and 1"):
        NoisyLabels(nothing, nothing, nothing.astype(bool), "symmetric", rate, np.eye(2), seed=0)


def test_spectrum_card_is_plain_json():
    card = SpectrumCard(4, 2, np.array([2.0, 2.0]), math.log(2), math.log(2), 2.0, is_centred=False)
    read = json.loads(json.dumps(card.to_json()))
    assert read == {
        "num_examples": 4, "dim": 2, "singular_values": [2.0, 2.0], "entropy_nats": math.log(2),
        "largest_ratio": math.log(2), "effective_rank": 2.0, "is_centred": False,
    }  # fmt: skip


# Checks


def test_the_first_bad_row_is_named_by_its_own_number():
    features = np.zeros((5, 2))
    features[[2, 4], 1] = np.nan, np.inf
    with pytest.raises(BadData, match=r"`probs` has NaN or infinity in row 2 \(2 such rows among 5 read\)"):
        check_finite(features, "probs")
    with pytest.raises(BadData, match="`features` has NaN or infinity in row 102 "):
        check_finite(features, first_row=100)
    check_finite(features[:2])


def test_label_range_and_ids_that_are_right_pass():
    check_label_range(np.array([0, 2, 1]), 3, "toy")
    check_label_range(np.zeros(0, np.int64), 1, "toy")
    check_unique_ids(np.array([3, 1, 2]), "toy")
    check_unique_ids(np.array([]), "toy")


def test_numbers_as_ids_are_shown_plainly():
    with pytest.raises(BadData, match="duplicate ids: 4 and 1 more"):
        check_unique_ids(np.array([4, 4, 5, 5, 5, 6]), "toy")


def test_rows_are_found_by_ids_in_the_order_asked_for():
    rows, absent = rows_by_id(["c", "a", "x", "b", "y"], np.array(["a", "b", "c"]))
    assert rows.tolist() == [2, 0, 1]
    assert absent == ["x", "y"]
    rows, absent = rows_by_id([3, 1], [1, 2, 3])
    assert (rows.tolist(), absent) == ([2, 0], [])
