"""Generalised cross-validation, against sums by hand and against hat matrices built for every strength."""

import numpy as np
import pytest

from noiseproof.posterior.ridge_strength import STRENGTHS, best_ridge


def problem(n, d, k, seed=0, signal=0.3):
    """Centred features whose columns differ in size, and centred targets that they say something of."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % k)
    x = rng.normal(size=(n, d)) * np.geomspace(1, 0.1, d) + signal * np.eye(k, d)[labels]
    y = np.eye(k)[labels]
    return x - x.mean(0), y - y.mean(0)


def found(x, y):
    total = float(np.square(y).sum())
    return best_ridge(x.T @ x, x.T @ y, num_examples=len(x), total=total)[0]


def slow_error(x, y, ridge):
    """n ||Y - H Y||^2 / (n - tr H)^2 with H written out, intercept included."""
    n, d = x.shape
    hat = x @ np.linalg.inv(x.T @ x + ridge * np.eye(d)) @ x.T + 1 / n
    return n * np.square(y - hat @ y).sum() / (n - np.trace(hat)) ** 2


def tried(x):
    return STRENGTHS * np.trace(x.T @ x) / x.shape[1]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("n", "d", "k"), [(40, 6, 3), (24, 12, 2), (9, 14, 3), (30, 1, 4), (25, 2, 5)])
def test_the_same_as_hat_matrices(n, d, k, seed):
    x, y = problem(n, d, k, seed)
    assert found(x, y) == pytest.approx(min(tried(x), key=lambda ridge: slow_error(x, y, ridge)))


def test_error_is_per_example():
    x, y = problem(40, 6, 3)
    ridge, error = best_ridge(x.T @ x, x.T @ y, num_examples=40, total=float(np.square(y).sum()))
    assert error == pytest.approx(slow_error(x, y, ridge))


def test_no_end_of_the_grid_is_taken_where_the_best_lies_within():
    x, y = problem(60, 20, 3, signal=1.0)
    assert tried(x).min() < found(x, y) < tried(x).max()


def test_by_hand():
    # One feature, x = (1, -1, 1, -1) / 2, so G = 1 and H = x x^T / (1 + ridge) + 1/4. With y = 2 x the error
    # is 4 (2 ridge / (1 + ridge))^2 / (3 - 1 / (1 + ridge))^2 = 16 ridge^2 / (2 + 3 ridge)^2: the weaker the
    # better. With y at right angles to x the upper part is constant: the stronger the better.
    x = np.array([[1.0], [-1.0], [1.0], [-1.0]]) / 2
    assert found(x, 2 * x) == pytest.approx(STRENGTHS[0])
    assert found(x, np.array([[1.0], [1.0], [-1.0], [-1.0]])) == pytest.approx(STRENGTHS[-1])


def test_features_that_are_all_alike():
    assert found(np.zeros((4, 3)), np.array([[0.5], [0.5], [-0.5], [-0.5]])) in STRENGTHS


def test_narrow_arithmetic_takes_the_same():
    x, y = problem(200, 50, 4)
    narrow = best_ridge(
        (x.T @ x).astype(np.float32), (x.T @ y).astype(np.float32),
        num_examples=200, total=float(np.square(y).sum()),
    )[0]  # fmt: skip
    assert narrow == pytest.approx(found(x, y), rel=1e-5)


def test_what_is_passed_stays_as_it_is():
    x, y = problem(40, 6, 3)
    gram, moments = x.T @ x, x.T @ y
    before = gram.copy(), moments.copy()
    best_ridge(gram, moments, num_examples=40, total=1.0)
    assert (gram == before[0]).all()
    assert (moments == before[1]).all()
