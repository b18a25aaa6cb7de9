"""Copies of examples: found, left out together, named where their labels differ."""

import numpy as np
import pytest

from noiseproof import find_label_issues
from noiseproof.detect.neighbours import most_frequent_labels
from noiseproof.posterior.copies import NEAR, Copies, find_copies, shared_copies
from noiseproof.posterior.true_labels import true_label_probs


def clouds(n=300, d=128, k=5, seed=0):
    rng = np.random.default_rng(seed)
    clean = np.arange(n) % k
    return (3 * np.eye(k, d)[clean] + 0.25 * rng.normal(size=(n, d))).astype(np.float32), clean


def with_wrong_copies(num, copies):
    """Some examples labelled right once, and wrong in several identical copies."""
    features, clean = clouds()
    source = np.arange(num) * 7 % 300
    given = np.concatenate([clean, np.tile((clean[source] + 1) % 5, copies)])
    return np.concatenate([features, np.tile(features[source], (copies, 1))]), given


@pytest.mark.parametrize(("num", "copies"), [(10, 2), (15, 3), (5, 6)])
def test_tolerant_heads_do_not_trust_wrong_copies(num, copies):
    features, given = with_wrong_copies(num, copies)
    wrong = np.arange(300, len(given))
    assert (true_label_probs(features, given)[wrong, given[wrong]] < 0.5).mean() > 0.95


@pytest.mark.parametrize("method", ["auto", "leave_one_out", "confident_learning", "neighbours"])
@pytest.mark.parametrize(("num", "copies"), [(10, 2), (15, 3), (5, 6)])
def test_wrong_labels_of_copies_are_flagged(method, num, copies):
    features, given = with_wrong_copies(num, copies)
    found = find_label_issues(features, given, method=method)
    assert found.is_issue[300:].mean() > 0.95
    assert found.is_issue[:300].sum() <= 2


def test_wrong_labels_of_many_copies_are_flagged():
    features, given = with_wrong_copies(50, 5)
    assert find_label_issues(features, given).is_issue.tolist() == [False] * 300 + [True] * 250


def test_examples_with_two_labels_are_named():
    features, given = with_wrong_copies(1, 2)
    notes = find_label_issues(features, given, ids=[f"photo {i}" for i in range(302)]).notes
    assert (
        "3 examples in 1 group are copies of each other (all identical); each was judged without its copies."
        in notes
    )
    assert "This example has 2 labels: photo 0 (0), photo 300 (1, 2 times)." in notes
    features, clean = clouds()
    assert not [note for note in find_label_issues(features, clean).notes if "cop" in note]


@pytest.mark.parametrize(
    ("is_exact", "kinds"),
    [
        ([False] * 4, "all near duplicates"), ([True] * 4, "all identical"),
        ([True, True, False, False], "2 identical, the others near duplicates"),
    ],
)  # fmt: skip
def test_kinds_of_copies_are_named(is_exact, kinds):
    (note,) = Copies(np.array([0, 0, 1, 1]), np.array(is_exact)).notes(np.zeros(4), np.arange(4))
    assert note.startswith(f"4 examples in 2 groups are copies of each other ({kinds}); ")


def test_many_labels_of_an_example_are_not_all_listed():
    notes = Copies(np.zeros(7, int), np.ones(7, bool)).notes(np.array(list("aabcdef")), np.arange(7))
    assert notes[1] == "This example has 6 labels: 0 (a, 2 times), 2 (b), 3 (c), 4 (d), 5 (e) and others."


def test_groups_by_hand():
    rows = np.array([[1.0, 0.0], [0.5, 0.1], [1.0, -0.0], [0.5, 0.1], [0.5, 0.2], [7.0, 3.0]])
    found = find_copies(rows)
    assert [group.tolist() for group in found.members()] == [[1, 3], [0, 2]] or [
        sorted(group.tolist()) for group in found.members()
    ] == [[0, 2], [1, 3]]
    assert found.is_exact.tolist() == [True, True, True, True, False, False]
    labels = np.array(list("abacda"))
    assert [group.tolist() for group in found.with_different_labels(labels)] == [[1, 3]]


def slow_near(features, near):
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    n = len(unit)
    return {(i, j) for i in range(n) for j in range(i) if np.linalg.norm(unit[i] - unit[j]) <= near}


def test_near_copies_equal_a_slow_search():
    rng = np.random.default_rng(0)
    features, _ = clouds(60)
    noise = rng.normal(size=(20, 128)) * np.geomspace(0.003, 0.1, 20)[:, None]
    features = np.concatenate([features, features[:20] + noise.astype(np.float32)])
    pairs = slow_near(features, NEAR)
    found = find_copies(features)
    assert 5 < len(pairs) < 20
    assert {(max(group), min(group)) for group in map(list, found.members())} == pairs
    assert not found.is_exact.any()
    assert not find_copies(features, near=0.0).has_copy.any()


def test_classes_that_lie_close_together_are_no_copies():
    """Of an encoder that was trained on the classes: all the examples of a class are near each other."""
    features, clean = clouds()
    assert not find_copies(3 * np.eye(5, 128)[clean] + 1e-3 * features).has_copy.any()


def test_categories_that_repeat_are_no_copies():
    rng = np.random.default_rng(0)
    categories = rng.integers(2, size=(400, 4)).astype(float)
    assert not find_copies(categories).has_copy.any()
    assert not find_copies(categories[:, :1]).has_copy.any()
    clean = (categories[:, 0] > 0).astype(int)
    given = np.where(np.arange(400) % 10 == 0, 1 - clean, clean)
    assert (find_label_issues(categories, given).is_issue == (given != clean)).mean() > 0.95
    doubled = np.tile(rng.normal(size=(50, 4)), (2, 1))
    assert find_copies(doubled).has_copy.all()


def repeated(num, times, d, k, wrong):
    """Distinct rows, each several times; these labels are wrong."""
    features = np.repeat(np.random.default_rng(0).normal(size=(num, d)), times, axis=0)
    clean = np.repeat(np.arange(num) % k, times)
    return features, clean, np.where(np.isin(np.arange(num * times), wrong), (clean + 1) % k, clean)


@pytest.mark.parametrize(
    ("features", "clean", "given"),
    [
        repeated(4, 100, 64, 4, range(0, 400, 9)), repeated(4, 100, 5, 4, range(0, 400, 9)),
        repeated(2, 50, 64, 2, [0, 1, 60, 61, 62]), repeated(8, 10, 64, 2, range(0, 80, 9)),
    ],
)  # fmt: skip
def test_wrong_labels_among_rows_that_repeat_are_flagged_and_no_others(features, clean, given):
    found = find_label_issues(features, given)
    assert (found.is_issue == (given != clean)).all()
    assert not [note for note in found.notes if "cop" in note]


def test_two_binary_columns_are_no_copies():
    columns = np.random.default_rng(0).integers(2, size=(600, 2)).astype(float)
    clean = columns[:, 0].astype(int)
    given = np.where(np.arange(600) % 10 == 0, 1 - clean, clean)
    found = find_label_issues(columns, given)
    assert (found.is_issue == (given != clean)).all()
    assert not [note for note in found.notes if "cop" in note]


def test_a_group_that_is_most_of_its_class_is_not_left_out():
    copies = Copies(np.array([0, 0, 0, 1, 1, 2, 3, 4, 5]), np.array([True] * 5 + [False] * 4))
    labels = np.array([0, 0, 1, 1, 1, 0, 1, 1, 1])
    assert np.flatnonzero(copies.to_leave_out(labels).has_copy).tolist() == [3, 4]
    assert copies.to_leave_out(labels).is_exact.tolist() == [False] * 3 + [True] * 2 + [False] * 4


def test_an_example_that_occurs_very_often_is_not_left_out():
    """Such as a placeholder or a short text: the other copies tell what its label is."""
    features, clean = clouds()
    features[:45] = features[0]
    features[50:53] = features[50]
    copies = find_copies(features)
    assert copies.has_copy.sum() == 48
    assert np.flatnonzero(copies.to_leave_out(clean).has_copy).tolist() == [50, 51, 52]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32])
def test_types(dtype):
    rows = (100 * np.random.default_rng(0).normal(size=(30, 6))).astype(dtype)
    found = find_copies(np.concatenate([rows, rows[:4]]))
    assert np.flatnonzero(found.has_copy).tolist() == [0, 1, 2, 3, 30, 31, 32, 33]


def test_copies_between_sets():
    features, _ = clouds()
    other, _ = clouds(seed=1)
    assert not shared_copies(features, other).any()
    other[7], other[9] = features[3], features[5] * 1.001
    assert np.flatnonzero(shared_copies(features, other)).tolist() == [7, 9]
    within = np.concatenate([other[20:30], other[20:30]])  # copies within the other set do not count
    assert not shared_copies(features, within).any()


def test_most_frequent_labels_by_hand():
    labels, groups = np.array([3, 1, 1, 2, 0]), np.array([0, 0, 0, 1, 1])
    assert most_frequent_labels(labels, groups, num_classes=4).tolist() == [1, 0]
