"""Kinds of rows, by hand, and the choice among them on data where lengths matter."""

import numpy as np
import pytest

from noiseproof import find_label_issues
from noiseproof.posterior.leave_one_out import choose_rows, leave_one_out
from noiseproof.posterior.ridge_rows import DirectionRows, KernelRows, PositionRows


def test_directions_by_hand():
    features = np.array([[3.0, 4.0], [0.0, 0.0]])
    assert DirectionRows(features)[:] == pytest.approx(np.array([[0.6, 0.8], [0, 0]]))
    # Roots: 3 and 4 of 9 and 16.
    assert DirectionRows(np.array([[9.0, -16.0]]), use_roots=True)[:] == pytest.approx(
        np.array([[0.6, -0.8]])
    )


def test_positions_by_hand():
    # Mean 3, standard deviation 2; the second column is constant and takes no part.
    rows = PositionRows(np.array([[1.0, 7.0], [5.0, 7.0]]))[:]
    half = 1 / np.sqrt(2)
    assert rows == pytest.approx(np.array([[-half, 0, half], [half, 0, half]]))


def test_kernel_by_hand():
    # Landmarks are both rows, at standardised squared distance 4; the width is 0.2 x 4.
    rows = KernelRows(np.array([[1.0], [5.0]]))[:]
    small = np.exp(-5)
    assert rows == pytest.approx(np.array([[1, small], [small, 1]]) / np.hypot(1, small))


@pytest.mark.parametrize("kind", [DirectionRows, PositionRows, KernelRows])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_slices_are_rows_of_unit_length(kind, dtype):
    rows = kind((100 + np.random.default_rng(0).normal(size=(50, 5))).astype(dtype))
    assert rows.dtype == rows[3:9].dtype == dtype
    assert rows[:].shape == rows.shape
    assert np.linalg.norm(rows[:], axis=1) == pytest.approx(np.ones(50), rel=1e-5)
    assert rows[3:9] == pytest.approx(rows[:][3:9])


def problems():
    rng = np.random.default_rng(0)
    two, three, ten = (np.arange(320) % k for k in (2, 3, 10))
    place = np.array([[0, 0], [5, 0], [0, 5]])
    angle = rng.uniform(0, 2 * np.pi, 320)
    side = rng.integers(2, size=320)
    return {
        "one column": (np.array([1, 5])[two][:, None] + 0.3 * rng.normal(size=(320, 1)), two),
        "negative column": (-np.array([2, 9])[two][:, None] + 0.5 * rng.normal(size=(320, 1)), two),
        "points on a line": (np.array([1, 3, 6])[three][:, None] + 0.25 * rng.normal(size=(320, 2)), three),
        "ten on a line": (ten[:, None] + 0.1 * rng.normal(size=(320, 1)), ten),
        "a blob at the origin": (place[three] + 0.5 * rng.normal(size=(320, 2)), three),
        "far from the origin": (1e4 + place[three] + 0.5 * rng.normal(size=(320, 2)), three),
        "units of columns": (np.c_[2 * two - 1, 1e4 + 0 * two] + [0.3, 3e3] * rng.normal(size=(320, 2)), two),
        "rings": (
            (1 + 2 * two + 0.1 * rng.normal(size=320))[:, None] * np.c_[np.cos(angle), np.sin(angle)], two,
        ),
        "crossed": (np.c_[6 * side, 6 * (side ^ two)] + 0.6 * rng.normal(size=(320, 2)), two),
        "lengths only": (np.array([1, 4])[two][:, None] * rng.normal(size=(320, 64)), two),
        "heavy tails": (np.exp(3 * two[:, None] + 0.5 * rng.normal(size=(320, 2))), two),
    }  # fmt: skip


@pytest.mark.parametrize("name", problems())
def test_wrong_labels_come_first_where_lengths_matter(name):
    features, clean = problems()[name]
    is_wrong = np.arange(320) % 11 == 3
    given = np.where(is_wrong, (clean + 1) % (clean.max() + 1), clean)
    found = find_label_issues(features, given)
    first = np.argsort(-found.suspicion)[: is_wrong.sum()]
    assert is_wrong[first].mean() > 0.95
    assert found.is_issue[~is_wrong].mean() < 0.01
    assert find_label_issues(features, clean).is_issue.mean() < 0.01
    if features.shape[1] <= 2:  # with 64 columns the neighbours of a long row are short ones
        by_neighbours = find_label_issues(features, given, method="neighbours")
        assert by_neighbours.is_issue[~is_wrong].mean() < 0.05


def test_directions_are_kept_for_encoders():
    rng = np.random.default_rng(0)
    clean = np.arange(600) % 6
    features = rng.normal(size=(6, 96))[clean] + rng.normal(size=(600, 96))
    assert choose_rows(features, clean, num_classes=6).kind == "direction"
    pooled = np.maximum(features, 0)  # never negative: square roots
    rows = choose_rows(pooled, clean, num_classes=6)
    assert rows[:] == pytest.approx(DirectionRows(np.sqrt(pooled))[:])


def test_copies_enter_once_and_are_left_out_together():
    """Against a head that was really fitted without all copies of the row, other copies merged into one."""
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 3
    features = np.eye(3, 6)[labels] * 2 + rng.normal(size=(24, 6))
    features[[5, 17]] = features[2]
    features[20] = features[11]
    groups = np.array([2 if i in (5, 17) else 11 if i == 20 else i for i in range(24)])
    groups = np.unique(groups, return_inverse=True)[1]
    found = leave_one_out(features, labels, num_classes=3, groups=groups)
    unit, one_hot = found.rows[:], np.eye(3)[labels]
    members = [np.flatnonzero(groups == g) for g in range(groups.max() + 1)]
    rows = np.stack([unit[each[0]] for each in members])
    targets = np.stack([one_hot[each].mean(0) for each in members])
    for i in range(24):
        rest = np.arange(len(members)) != groups[i]
        design = np.hstack([rows[rest], np.ones((rest.sum(), 1))])
        penalty = found.ridge * np.diag([*np.ones(rows.shape[1]), 0])
        head = np.linalg.solve(design.T @ design + penalty, design.T @ targets[rest])
        assert found.scores[i] == pytest.approx(np.append(unit[i], 1.0) @ head, abs=1e-8)
