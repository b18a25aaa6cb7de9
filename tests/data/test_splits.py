from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noiseproof.core.errors import BadData, InvalidArgument
from noiseproof.core.records import Dataset, LabelledDataset
from noiseproof.data.classes import check_trainable
from noiseproof.data.sources import open_dataset
from noiseproof.data.splits import (
    per_class_split,
    stratified_sample,
    stratified_share,
    stratified_split,
    subset,
)

labels_with_two_of_each = st.dictionaries(st.integers(0, 9), st.integers(2, 25), max_size=6).flatmap(
    lambda counts: st.permutations([label for label, count in counts.items() for _ in range(count)])
)


@given(labels=labels_with_two_of_each, fraction=st.floats(0.01, 0.99), seed=st.integers(0, 2**31))
@settings(deadline=None)
def test_a_split_is_a_stratified_partition(labels, fraction, seed):
    labels = np.array(labels, np.int64)
    train, test = stratified_split(labels, test_fraction=fraction, seed=seed)
    assert np.sort(np.concatenate([train, test])).tolist() == list(range(len(labels)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(test) > 0).all()
    for label in np.unique(labels):
        total, in_test = (labels == label).sum(), (labels[test] == label).sum()
        assert 1 <= in_test <= total - 1
        assert in_test in (1, total - 1) or abs(in_test - fraction * total) <= 0.5
    again = stratified_split(labels, test_fraction=fraction, seed=seed)
    assert again[1].tolist() == test.tolist()


def test_splits_of_two_seeds_differ():
    labels = np.repeat([0, 1], 50)
    first, second = (stratified_split(labels, test_fraction=0.2, seed=seed)[1] for seed in (0, 1))
    assert len(first) == len(second) == 20
    assert first.tolist() != second.tolist()


def test_a_class_with_one_example_is_named():
    with pytest.raises(BadData, match=r"Class 7 has one example only \(row 2\)"):
        stratified_split(np.array([0, 0, 7]), test_fraction=0.5, seed=0)
    with pytest.raises(BadData, match="Class 'yak' has one example only"):
        stratified_split(np.array([0, 0, 1]), test_fraction=0.5, seed=0, class_names=("ox", "yak"))


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.2, 20.0])
def test_a_fraction_outside_0_to_1_is_refused(fraction):
    with pytest.raises(InvalidArgument, match=f"`test_fraction` is {fraction}; allowed: a number between 0"):
        stratified_split(np.array([0, 0]), test_fraction=fraction, seed=0)


@given(labels=labels_with_two_of_each, share=st.floats(0.01, 1.0), seed=st.integers(0, 2**31))
@settings(deadline=None)
def test_a_share_of_the_data_is_stratified(labels, share, seed):
    labels = np.array(labels, np.int64)
    rows = stratified_share(labels, share=share, seed=seed)
    assert (np.diff(rows) > 0).all()
    for label in np.unique(labels):
        kept, total = (labels[rows] == label).sum(), (labels == label).sum()
        assert kept >= 1
        assert kept == 1 or abs(kept - share * total) <= 0.5


def test_smaller_shares_lie_inside_larger_ones():
    labels = np.random.default_rng(0).integers(0, 7, 500)
    parts = [set(stratified_share(labels, share=s, seed=3).tolist()) for s in (0.05, 0.1, 0.5, 0.75, 1.0)]
    assert all(small < large for small, large in pairwise(parts))
    assert len(parts[-1]) == 500
    assert parts[0] != set(stratified_share(labels, share=0.05, seed=4).tolist())


@pytest.mark.parametrize("share", [0.0, 1.01, -0.5, float("nan")])
def test_a_share_outside_0_to_1_is_refused(share):
    with pytest.raises(InvalidArgument, match=f"`share` is {share}; allowed: a number above 0, at most 1"):
        stratified_share(np.array([0, 0]), share=share, seed=0)


def test_the_same_number_of_every_class_is_taken():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [4, 9, 30]))
    first, rest = per_class_split(labels, per_class=3, seed=0)
    assert np.bincount(labels[first]).tolist() == [3, 3, 3]
    assert np.sort(np.concatenate([first, rest])).tolist() == list(range(43))
    assert first.tolist() == per_class_split(labels, per_class=3, seed=0)[0].tolist()
    assert first.tolist() != per_class_split(labels, per_class=3, seed=1)[0].tolist()


def test_a_class_that_would_leave_nothing_is_named():
    with pytest.raises(BadData, match="Class 'yak' has 2 examples; allowed: more than 2"):
        per_class_split(np.array([0, 0, 0, 1, 1]), per_class=2, seed=0, class_names=("ox", "yak"))
    with pytest.raises(BadData, match="Class 1 has 1 example;"):
        per_class_split(np.array([0, 0, 1]), per_class=1, seed=0)
    with pytest.raises(InvalidArgument, match="`per_class` is 0; allowed: an integer of at least 1"):
        per_class_split(np.array([0, 0]), per_class=0, seed=0)


def test_a_subset_has_the_rows_it_names():
    whole = open_dataset("sklearn:digits")
    part = subset(whole, np.array([5, 3]), name="two")
    assert (part.name, part.ids.tolist()) == ("two", ["digits/5", "digits/3"])
    assert part.given_labels.tolist() == whole.given_labels[[5, 3]].tolist()
    assert np.array_equal(np.asarray(part.examples[1]), np.asarray(whole.examples[3]))
    assert subset(whole, np.array([5])).name == "sklearn:digits"
    assert type(part) is type(whole) is LabelledDataset


def test_a_subset_of_a_data_set_without_labels_has_none():
    whole = Dataset("toy", "text", ["a", "b"], np.array(["x", "y"]), None, (), "f")
    part = subset(whole, np.array([1]))
    assert type(part) is Dataset
    assert (part.ids.tolist(), part.given_labels) == (["y"], None)


def test_fingerprints_of_subsets_depend_on_the_rows_alone():
    whole = open_dataset("sklearn:digits")
    prints = [
        subset(whole, np.array(rows), name=str(i)).fingerprint
        for i, rows in enumerate(([5, 3], [5, 3], [3, 5]))
    ]
    assert prints[0] == prints[1] != prints[2]
    assert whole.fingerprint not in prints


@given(labels=labels_with_two_of_each, data=st.data(), seed=st.integers(0, 2**31))
@settings(deadline=None)
def test_a_sample_has_the_size_and_every_class_twice_where_there_is_room(labels, data, seed):
    labels = np.array(labels, np.int64)
    if not len(labels):
        return
    size = data.draw(st.integers(1, len(labels)))
    rows = stratified_sample(labels, size=size, seed=seed)
    assert len(rows) == size
    assert (np.diff(rows) > 0).all()
    assert rows.tolist() == stratified_sample(labels, size=size, seed=seed).tolist()
    least = min(2, size // len(np.unique(labels)))
    for label in np.unique(labels):
        assert (labels[rows] == label).sum() >= least


def test_a_sample_has_the_shares_of_the_whole():
    labels = np.repeat([0, 1, 2], [700, 200, 100])
    counts = np.bincount(labels[stratified_sample(labels, size=50, seed=0)])
    assert counts.tolist() == [35, 10, 5]
    rare = np.repeat([0, 1, 2], [9990, 8, 2])
    assert np.bincount(rare[stratified_sample(rare, size=100, seed=0)]).tolist() == [96, 2, 2]


def test_a_sample_smaller_than_the_number_of_classes_draws_the_classes():
    labels = np.repeat(np.arange(10), 5)
    drawn = {tuple(np.unique(labels[stratified_sample(labels, size=3, seed=seed)])) for seed in range(20)}
    assert {len(classes) for classes in drawn} == {3}
    assert len(drawn) > 5


@pytest.mark.parametrize("num_classes", [2, 7])
def test_a_limit_of_two_per_class_can_be_trained_on(num_classes, tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(num_classes), 30))
    np.savez(tmp_path / "f.npz", features=rng.normal(size=(len(labels), 3)), labels=labels)
    for seed in range(10):
        few = open_dataset(str(tmp_path / "f.npz"), limit=2 * num_classes + 2, seed=seed)
        check_trainable(few)
