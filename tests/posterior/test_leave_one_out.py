"""Leave-one-out scores against heads that were really fitted again without the row."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from noiseproof.posterior.leave_one_out import leave_one_out
from noiseproof.posterior.ridge_strength import STRENGTHS


def problem(n=24, d=5, k=3, seed=0, offset=0.0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % k
    features = rng.normal(size=(n, d)) + offset + np.eye(k, d)[labels] * 2
    return features, rng.permuted(labels) if seed % 2 else labels


def refitted_without(rows, labels, row, ridge, num_classes):
    """What a ridge head with a free intercept says of a row it never saw: plain normal equations."""
    unit = rows[:]
    targets = np.eye(num_classes)[labels]
    rest = np.arange(len(labels)) != row
    design = np.hstack([unit[rest], np.ones((rest.sum(), 1))])
    penalty = ridge * np.eye(design.shape[1])
    penalty[-1, -1] = 0  # the intercept is not penalised
    weights = np.linalg.solve(design.T @ design + penalty, design.T @ targets[rest])
    return np.append(unit[row], 1.0) @ weights


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("n", "d", "k"), [(24, 5, 3), (9, 14, 2), (6, 6, 6), (40, 1, 4)])
def test_scores_equal_real_refits(n, d, k, seed):
    features, labels = problem(n, d, k, seed)
    found = leave_one_out(features, labels, num_classes=k)
    for row in range(n):
        expected = refitted_without(found.rows, labels, row, found.ridge, k)
        assert found.scores[row] == pytest.approx(expected, rel=1e-8, abs=1e-8)


def test_scores_equal_real_refits_where_the_mean_is_large():
    features, labels = problem(30, 4, 3, offset=20.0)
    found = leave_one_out(features, labels, num_classes=3)
    for row in range(30):
        expected = refitted_without(found.rows, labels, row, found.ridge, 3)
        assert found.scores[row] == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_scores_equal_refits_by_scikit_learn():
    features, labels = problem(20, 4, 3)
    found = leave_one_out(features, labels, num_classes=3)
    unit = found.rows[:]
    for row in (0, 7, 19):
        rest = np.arange(20) != row
        head = Ridge(alpha=found.ridge).fit(unit[rest], np.eye(3)[labels[rest]])
        assert found.scores[row] == pytest.approx(head.predict(unit[[row]])[0], abs=1e-8)


def test_two_rows_by_hand():
    # Without row 0 a head has seen class 1 only, and predicts it whatever the features are.
    found = leave_one_out(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([0, 1]), num_classes=2)
    assert found.scores == pytest.approx(np.array([[0.0, 1.0], [1.0, 0.0]]), abs=1e-4)


def test_features_that_say_nothing_give_the_classes_of_the_others():
    labels = np.array([0, 0, 0, 1])
    found = leave_one_out(np.ones((4, 3)), labels, num_classes=2)
    assert found.scores == pytest.approx(np.array([[2 / 3, 1 / 3]] * 3 + [[1.0, 0.0]]), abs=1e-6)


def test_scores_of_a_row_do_not_depend_on_its_own_label():
    """What leave-one-out is for: flip one label and its own score stays (at the same ridge)."""
    features, labels = problem(60, 6, 3)
    before = leave_one_out(features, labels, num_classes=3)
    flipped = labels.copy()
    flipped[11] = (labels[11] + 1) % 3
    after = leave_one_out(features, flipped, num_classes=3)
    if after.ridge == before.ridge:
        assert after.scores[11] == pytest.approx(before.scores[11], abs=1e-9)
    expected = refitted_without(after.rows, labels, 11, after.ridge, 3)
    assert after.scores[11] == pytest.approx(expected, abs=1e-8)


def test_rows_of_scores_sum_to_one():
    features, labels = problem(30, 7, 4)
    assert leave_one_out(features, labels, num_classes=4).scores.sum(1) == pytest.approx(np.ones(30))


def test_the_ridge_is_among_the_best_by_leave_one_out_itself():
    """It is chosen as if all rows had the same leverage, which costs little."""
    features, labels = problem(40, 8, 3, seed=1)
    found = leave_one_out(features, labels, num_classes=3)
    targets = np.eye(3)[labels]

    def error(ridge):
        scores = [refitted_without(found.rows, labels, row, ridge, 3) for row in range(40)]
        return np.square(targets - scores).sum()

    unit = found.rows[:] - found.rows[:].mean(0)
    tried = np.trace(unit.T @ unit) / unit.shape[1] * STRENGTHS
    assert error(found.ridge) <= 1.02 * min(map(error, tried))
    assert tried.min() < found.ridge < tried.max()


def test_length_of_features_does_not_matter_where_it_says_nothing():
    features, labels = problem(30, 5, 3)
    stretched = features * np.random.default_rng(0).uniform(0.1, 10, size=(30, 1))
    one = leave_one_out(features, labels, num_classes=3)
    other = leave_one_out(stretched, labels, num_classes=3)
    assert other.scores == pytest.approx(one.scores, abs=1e-9)


def test_a_row_of_zeros_is_no_division_by_zero():
    features, labels = problem(30, 5, 3)
    features[4] = 0
    assert np.isfinite(leave_one_out(features, labels, num_classes=3).scores).all()


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float16, 5e-3), (np.float32, 1e-4)])
def test_narrow_features_agree_with_float64(dtype, tolerance):
    features, labels = problem(60, 6, 3)
    exact = leave_one_out(features, labels, num_classes=3)
    narrow = leave_one_out(features.astype(dtype), labels, num_classes=3)
    assert narrow.scores.dtype == np.float32
    assert narrow.scores == pytest.approx(exact.scores, abs=tolerance)


def by_the_hat_matrix(rows, labels, ridge):
    """Every row without itself, from the (n, n) matrices of the dual problem, in float64."""
    n, k = len(labels), labels.max() + 1
    targets, centred = np.eye(k)[labels], np.float64(rows[:]) - np.float64(rows[:]).mean(0)
    kernel = centred @ centred.T
    hat = kernel @ np.linalg.inv(kernel + ridge * np.eye(n)) + 1 / n
    predicted = hat @ (targets - targets.mean(0)) + targets.mean(0)
    return targets - (targets - predicted) / (1 - np.diag(hat))[:, None]


def clouds(n, d, *, offset=0.0):
    """Three classes in noise as large as they are, in float32; a fifth of the labels are drawn anew."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 3
    features = rng.normal(size=(n, d)) + 8 * np.eye(3, d)[labels] + offset
    return features.astype(np.float32), np.where(rng.random(n) < 0.2, rng.integers(3, size=n), labels)


@pytest.mark.parametrize(("n", "d"), [(100, 768), (150, 400), (400, 400), (402, 400), (900, 400)])
def test_few_rows_and_many_columns_in_float32(n, d):
    """No column beyond the rows counts as fit: the strength stays best, and the scores those of refits."""
    features, labels = clouds(n, d)
    found = leave_one_out(features, labels, num_classes=3)
    targets = np.eye(3)[labels]
    tried = found.ridge * np.geomspace(1e-4, 1e2, 13)
    errors = [np.square(targets - by_the_hat_matrix(found.rows, labels, ridge)).sum() for ridge in tried]
    assert np.square(targets - found.scores).sum() < 1.05 * min(errors)
    assert found.scores == pytest.approx(by_the_hat_matrix(found.rows, labels, found.ridge), abs=1e-4)


@pytest.mark.parametrize("n", [300, 1000])
def test_rows_that_are_alike_up_to_rounding_say_nothing(n):
    rng = np.random.default_rng(0)
    row = rng.normal(size=(1, 512)).astype(np.float32)
    lengths = rng.uniform(0.1, 10, size=(n, 1)).astype(np.float32)
    labels = np.arange(n) % 3
    for features in (np.repeat(row, n, axis=0), row * lengths):
        scores = leave_one_out(features, labels, num_classes=3).scores
        counts = np.bincount(labels) - np.eye(3)[labels]
        assert scores == pytest.approx(counts / (n - 1), abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("within", [0.0, 1e-6, 1e-3])
def test_two_tight_clusters_of_many_columns_in_float32(within):
    """All the variance in one direction of 2,048, so that the least strengths are below rounding."""
    rng = np.random.default_rng(0)
    clean = np.arange(2500) % 2
    noise = within * rng.standard_normal((2500, 2048), dtype=np.float32)
    features = rng.standard_normal((2, 2048), dtype=np.float32)[clean] + noise
    given = np.where(np.arange(2500) % 17 == 0, 1 - clean, clean)
    scores = leave_one_out(features, given, num_classes=2).scores
    assert (scores.argmax(1) == clean).all()


def test_a_first_block_that_lies_elsewhere(monkeypatch):
    """Rows sorted by class, far from zero, in float32."""
    monkeypatch.setattr("noiseproof.posterior.ridge_problem._BLOCK_NUMBERS", 1)
    features, labels = clouds(900, 60, offset=100)
    order = np.argsort(labels, kind="stable")
    features, labels = features[order], labels[order]
    found = leave_one_out(features, labels, num_classes=3)
    assert found.scores == pytest.approx(by_the_hat_matrix(found.rows, labels, found.ridge), abs=1e-4)


def test_blocks_do_not_matter(monkeypatch):
    features, labels = problem(700, 6, 3)
    whole = leave_one_out(features, labels, num_classes=3)
    monkeypatch.setattr("noiseproof.posterior.ridge_problem._BLOCK_NUMBERS", 1)
    blocks = leave_one_out(features, labels, num_classes=3)
    assert blocks.ridge == pytest.approx(whole.ridge)
    assert blocks.scores == pytest.approx(whole.scores, abs=1e-10)


def test_a_class_without_examples_is_never_likely():
    features, labels = problem(30, 5, 3)
    scores = leave_one_out(features, labels, num_classes=5).scores
    assert scores[:, 3:] == pytest.approx(np.zeros((30, 2)), abs=1e-12)
