import sys

import numpy as np
import pytest

from noiseproof import find_label_issues
from noiseproof.core.errors import BadData, InvalidArgument, MissingExtra, UnknownName
from noiseproof.detect import neighbours
from noiseproof.detect.neighbours import nearest, weighted_votes


def circle(*degrees):
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)


def test_by_hand():
    """Five examples at 0 to 4 degrees, five at 90 to 94, a class each; the third is mislabelled."""
    features, given = circle(0, 1, 2, 3, 4, 90, 91, 92, 93, 94), np.array([0, 0, 1, 0, 0, 1, 1, 1, 1, 1])
    found = find_label_issues(features, given, method="neighbours", method_options={"k": 3})
    assert found.is_issue.tolist() == [i == 2 for i in range(10)]
    assert found.suggested_labels.tolist() == [0] * 5 + [1] * 5
    # No vote of three for class 1, and half of the one vote that is spread over all classes.
    assert found.suspicion[2] == pytest.approx(1 - 0.5 / 4)
    assert found.suspicion[0] == pytest.approx(1 - (2 + 0.5) / 4, abs=1e-3)  # its neighbours: 1, 2, 3
    assert found.joint.tolist() == [[4, 1], [0, 5]]


def slow_nearest(features, num):
    """An example at a time, by angle."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    found = []
    for i, row in enumerate(unit):
        cosines = [(float(row @ other), j) for j, other in enumerate(unit) if j != i]
        found.append([j for _, j in sorted(cosines, reverse=True)[:num]])
    return found


@pytest.mark.parametrize(("block", "tile"), [(7, 11), (512, 4096)])
def test_exact_search_equals_a_slow_loop(monkeypatch, block, tile):
    monkeypatch.setattr(neighbours, "_BLOCK_ROWS", block)
    monkeypatch.setattr(neighbours, "_TILE", tile)
    features = np.random.default_rng(0).normal(size=(150, 8))
    rows, similarities = nearest(features, num=5, search="exact")
    assert rows.tolist() == slow_nearest(features, 5)
    assert (np.diff(similarities, axis=1) <= 0).all()


def test_the_graph_finds_nearly_the_same_neighbours():
    pytest.importorskip("faiss", reason="faiss-cpu is not installed (extra 'scale')")
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(20, 16))[rng.integers(20, size=3000)] + rng.normal(size=(3000, 16))).astype(
        "f4"
    )
    exact, graph = (nearest(features, num=10, search=how)[0] for how in ("exact", "graph"))
    shared = [len(set(one) & set(other)) for one, other in zip(exact.tolist(), graph.tolist(), strict=True)]
    assert np.mean(shared) / 10 > 0.97
    assert (graph != np.arange(3000)[:, None]).all()  # nobody is a neighbour of itself


def test_equal_rows_are_each_others_neighbours_and_never_their_own():
    pytest.importorskip("faiss", reason="faiss-cpu is not installed (extra 'scale')")
    for search in ("exact", "graph"):
        rows, _ = nearest(np.ones((12, 4), np.float32), num=3, search=search)
        assert (rows != np.arange(12)[:, None]).all()
        assert all(len(set(row)) == 3 for row in rows.tolist())


def test_votes_equal_a_slow_loop_and_each_row_has_as_many_as_neighbours():
    rng = np.random.default_rng(0)
    labels, cosines = rng.integers(0, 3, (20, 4)), rng.uniform(0.1, 1, (20, 4))
    slow = np.zeros((20, 3))
    for i in range(20):
        for label, cosine in zip(labels[i], cosines[i], strict=True):
            slow[i, label] += cosine / cosines[i].sum() * 4
    found = weighted_votes(labels, cosines, num_classes=3)
    assert found == pytest.approx(slow, abs=1e-4)
    assert found.sum(1) == pytest.approx(np.full(20, 4.0))


def test_a_graph_without_faiss_is_an_error_with_a_hint(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    features, given = np.random.default_rng(0).normal(size=(30, 4)), np.arange(30) % 2
    with pytest.raises(MissingExtra, match=r"faiss-cpu.*noiseproof\[scale\]"):
        find_label_issues(features, given, method="neighbours", method_options={"search": "graph"})


def test_many_rows_are_searched_by_a_graph_where_there_is_one(monkeypatch):
    monkeypatch.setattr(neighbours, "MOST_EXACT", 20)
    monkeypatch.setattr(neighbours, "_by_graph", lambda unit, others, own, num: ("graph", num))
    features = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    monkeypatch.setattr(neighbours.importlib.util, "find_spec", lambda name: object())
    assert nearest.__wrapped__(features, num=3)[0] == "graph"
    monkeypatch.setattr(neighbours.importlib.util, "find_spec", lambda name: None)
    assert nearest.__wrapped__(features, num=3)[0].shape == (30, 3)


def test_a_class_of_one_example_has_nobody_to_vote_for_it():
    with pytest.raises(BadData, match=r"The class 'c' has 1 example .*needs 2 or more .*Next: "):
        find_label_issues(np.eye(5), np.array(list("aabbc")), method="neighbours")


@pytest.mark.parametrize("options", [{"k": 0}, {"k": 2.5}, {"search": "fast"}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(InvalidArgument, match=r"`method_options\['(k|search)'\]` is .* for the detector"):
        find_label_issues(np.eye(4), [0, 0, 1, 1], method="neighbours", method_options=options)


def test_foreign_options_are_refused():
    with pytest.raises(UnknownName, match=r"option of the detector 'neighbours' 'n'\. .*Known: k, search"):
        find_label_issues(np.eye(4), [0, 0, 1, 1], method="neighbours", method_options={"n": 3})


def test_more_neighbours_than_there_are_is_refused():
    labels = np.arange(8) % 2
    with pytest.raises(InvalidArgument, match=r"method_options\['k'\]` is 8; allowed: 1 to 7"):
        find_label_issues(np.eye(8), labels, method="neighbours", method_options={"k": 8})
    assert len(find_label_issues(np.eye(8), labels, method="neighbours").suspicion) == 8
