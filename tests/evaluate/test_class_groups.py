import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noiseproof.core.errors import BadData, InvalidArgument
from noiseproof.evaluate.class_groups import anchor_accuracy, merged_probs
from noiseproof.evaluate.metrics import all_metrics, outcomes


def slow_merge(probs, groups):
    rows = []
    for row in probs:
        largest = [max(row[member] for member in group) for group in groups]
        rows.append([value / sum(largest) for value in largest])
    return np.array(rows)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_the_largest_member_stands_for_a_group():
    probs = np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.1, 0.2, 0.2]])
    merged = merged_probs(probs, [(0, 2), (3,)])
    assert merged == pytest.approx(np.array([[3 / 7, 4 / 7], [5 / 7, 2 / 7]]))


def test_groups_of_one_are_the_softmax_over_the_logits_that_are_kept():
    logits = np.random.default_rng(0).normal(size=(20, 1000))
    kept = np.random.default_rng(1).permutation(1000)[:200]
    masked = merged_probs(softmax(logits), [(int(c),) for c in kept])
    assert np.allclose(masked, softmax(logits[:, kept]))


@given(
    n=st.integers(0, 5),
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=6),
    spare=st.integers(0, 3),
    seed=st.integers(0, 2**31),
)
@settings(deadline=None)
def test_merging_agrees_with_a_loop(n, sizes, spare, seed):
    rng = np.random.default_rng(seed)
    members = rng.permutation(sum(sizes) + spare).tolist()
    groups = [tuple(members.pop() for _ in range(size)) for size in sizes]
    probs = softmax(rng.normal(size=(n, sum(sizes) + spare)) * 3)
    merged = merged_probs(probs, groups)
    assert merged.shape == (n, len(sizes))
    if n:
        assert np.allclose(merged, slow_merge(probs, groups))


def test_merged_probabilities_are_what_metrics_take():
    probs = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.6, 0.2, 0.1]], np.float32)
    merged = merged_probs(probs, [(1, 2), (3,)])  # 0.5 / 0.5 and 6/7
    assert merged.dtype == np.float32
    assert all_metrics(outcomes(merged, np.array([0, 0])))["accuracy"] == 1.0


def test_a_row_without_probability_on_the_groups_is_uniform():
    assert merged_probs(np.array([[1.0, 0.0, 0.0]]), [(1,), (2,)]).tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([], r"`groups` is \[\]; allowed: one or more groups"),
        ([(0,), ()], r"`groups\[1\]` is \(\); allowed: one or more class ids from 0 to 2"),
        ([(0, 3)], r"`groups\[0\]` is \(0, 3\); allowed: one or more class ids from 0 to 2"),
        ([(0,), (-1,)], r"`groups\[1\]` is \(-1,\)"),
    ],
)
def test_groups_outside_the_classes_are_refused(groups, message):
    with pytest.raises(InvalidArgument, match=message):
        merged_probs(np.full((2, 3), 1 / 3), groups)


def test_infinite_probabilities_are_refused():
    with pytest.raises(BadData, match="`probs` has NaN or infinity in row 1"):
        merged_probs(np.array([[0.5, 0.5], [np.nan, 0.5]]), [(0,)])


def test_an_anchor_counts_only_with_all_of_its_neighbours():
    is_right = np.array([True, True, False, True, False, True])
    anchors = np.array([0, 3, 4, 5])
    neighbours = [np.array([1]), np.array([1, 2]), np.array([0, 1]), np.array([], np.int64)]
    found = anchor_accuracy(is_right, anchors, neighbours)
    assert found.pm0 == 3 / 4  # 0, 3 and 5
    assert found.pm_k == 2 / 4  # 3 has a wrong neighbour, 4 is wrong itself


@pytest.mark.parametrize(("anchors", "neighbours"), [([], []), ([0], [])])
def test_anchors_without_their_neighbourhoods_are_refused(anchors, neighbours):
    with pytest.raises(BadData, match=r"`anchors` has \d frames, `neighbours` 0 lists"):
        anchor_accuracy(np.array([True]), np.array(anchors, np.int64), neighbours)
