"""Neighbours, copies and the map against slow, obvious loops."""

import numpy as np
import pytest

from noiseproof.review.surroundings import find_surroundings, nearest_others, principal_coordinates


def test_the_map_of_a_line_is_a_line_with_its_ends_at_the_edges():
    rows = np.outer(np.arange(5.0), [3.0, 4.0]) + 7  # along one direction, 5 apart
    found = find_surroundings(rows, np.zeros(5, np.int64), np.arange(5))
    steps = np.diff(np.sort(found.places[:, 0]))
    assert steps.tolist() == pytest.approx([250] * 4, abs=5)
    assert {0, 1000} <= set(found.places[:, 0].tolist())
    assert len(set(found.places[:, 1])) == 1
    assert found.neighbours[0].tolist()[:4] == [1, 2, 3, 4]
    assert found.neighbours[0].tolist()[4] == -1  # five examples have four others
    assert found.copies == {}


@pytest.mark.parametrize("dim", [3, 70, 300])
def test_neighbours_are_those_of_a_loop_over_cosines(dim):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, dim)).astype(np.float32) + 1
    found = find_surroundings(rows, np.arange(40) % 2, np.arange(40)).neighbours
    scaled = rows / (np.linalg.norm(rows, axis=1, keepdims=True) if dim >= 64 else rows.std(axis=0))
    for row in range(40):
        apart = [
            np.inf if other == row else np.sum((scaled[row] - scaled[other]) ** 2) for other in range(40)
        ]
        assert found[row].tolist() == np.argsort(apart)[:5].tolist()


def test_copies_are_no_neighbours_and_those_with_another_label_are_named():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(30, 8))
    rows[[3, 4]] = rows[2]
    labels = np.zeros(30, np.int64)
    labels[4] = 1
    found = find_surroundings(rows, labels, np.arange(30))
    assert found.copies == {2: [4], 3: [4], 4: [2, 3]}
    for row in (2, 3, 4):
        assert not {2, 3, 4} & set(found.neighbours[row].tolist())


@pytest.mark.parametrize("rows", [np.zeros((1, 4)), np.ones((6, 3)), np.full((3, 100), 1e-30), np.eye(2)])
def test_examples_that_do_not_differ_have_places_too(rows):
    found = find_surroundings(rows, np.zeros(len(rows), np.int64), np.arange(len(rows)))
    assert found.places.shape == (len(rows), 2)
    assert ((found.places >= 0) & (found.places <= 1000)).all()
    assert found.neighbours.shape == (len(rows), 5)


def test_coordinates_keep_distances_where_they_have_all_directions():
    rows = np.random.default_rng(1).normal(size=(50, 5))
    points = principal_coordinates(rows)
    scaled = rows / rows.std(axis=0)
    for one, other in [(0, 1), (7, 33), (49, 20)]:
        expected = np.linalg.norm(scaled[one] - scaled[other])
        assert np.linalg.norm(points[one] - points[other]) == pytest.approx(expected, rel=1e-4)
    assert (np.diff(points.var(axis=0)) <= 1e-6).all()


def test_all_copies_of_one_have_no_neighbours():
    found = nearest_others(np.zeros((4, 2), np.float32), np.zeros(4, np.int64), np.arange(4))
    assert (found == -1).all()


def test_neighbours_are_found_for_the_first_of_the_order(monkeypatch):
    monkeypatch.setattr("noiseproof.review.surroundings.MOST_SEARCHED", 2)
    rows = np.arange(12.0)[:, None] ** 2
    found = find_surroundings(rows, np.zeros(12, np.int64), np.array([7, 0, *range(1, 7), *range(8, 12)]))
    assert found.neighbours[7].tolist()[:2] == [6, 8]  # 13 and 15 away
    assert found.neighbours[0].tolist() == [1, 2, 3, 4, 5]
    assert (found.neighbours[[1, 11]] == -1).all()
