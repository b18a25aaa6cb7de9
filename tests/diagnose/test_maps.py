import numpy as np
import pytest

from noiseproof.core.errors import BadData, InvalidArgument
from noiseproof.diagnose.maps import feature_map


def blobs(n=60, d=8, k=3, spread=0.1):
    labels = np.arange(n) % k
    return np.eye(k, d)[labels] + np.random.default_rng(0).normal(size=(n, d)) * spread, labels


def test_principal_components_are_those_of_the_decomposition():
    features, _ = blobs(spread=0.3)
    found = feature_map(features)
    scaled = features / np.linalg.norm(features, axis=1, keepdims=True)
    u, s, _ = np.linalg.svd(scaled - scaled.mean(axis=0), full_matrices=False)
    assert np.abs(found.linear) == pytest.approx(np.abs(u[:, :2] * s[:2]))
    assert found.explained == pytest.approx((s**2 / (s**2).sum())[:2])


def test_examples_of_a_class_are_neighbours():
    features, labels = blobs()
    found = feature_map(features)
    for points in (found.linear, found.neighbours):
        distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
        np.fill_diagonal(distances, np.inf)
        assert (labels[distances.argmin(axis=1)] == labels).all()


def test_scale_of_an_example_does_not_matter():
    features, _ = blobs()
    scales = np.random.default_rng(1).uniform(0.1, 10, (len(features), 1))
    assert feature_map(features * scales).linear == pytest.approx(feature_map(features).linear)


def test_many_examples_are_thinned_and_the_rows_are_told():
    features, _ = blobs(200)
    found = feature_map(features, max_points=50, seed=3)
    assert len(found.rows) == len(found.linear) == len(found.neighbours) == 50
    assert (np.diff(found.rows) > 0).all()
    again = feature_map(features, max_points=50, seed=3)
    assert again.neighbours.tobytes() == found.neighbours.tobytes()
    assert feature_map(features, max_points=50, seed=4).rows.tolist() != found.rows.tolist()


@pytest.mark.parametrize(("n", "d"), [(4, 8), (30, 1), (30, 2)])
def test_small_matrices_have_a_map(n, d):
    features = np.random.default_rng(0).normal(size=(n, d))
    found = feature_map(features)
    assert found.linear.shape == found.neighbours.shape == (n, 2)
    assert np.isfinite(found.neighbours).all()


def test_what_is_no_map_is_told():
    with pytest.raises(InvalidArgument, match="`max_points` is 3; allowed: a whole number >= 4"):
        feature_map(np.eye(5), max_points=3)
    with pytest.raises(BadData, match="`features` has 3 rows; allowed for a map: 4 or more"):
        feature_map(np.eye(3))
    with pytest.raises(BadData, match="All rows of `features` are equal up to a factor"):
        feature_map(np.ones((9, 3)))
    bad = np.random.default_rng(0).normal(size=(9, 3))
    bad[4, 1] = np.inf
    with pytest.raises(BadData, match="NaN or infinity in row 4"):
        feature_map(bad)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_examples_that_differ_by_a_factor_only_are_one_point(dtype):
    rng = np.random.default_rng(0)
    rows = (rng.uniform(0.5, 2, size=(40, 1)) * rng.normal(size=7)).astype(dtype)
    with pytest.raises(
        BadData, match="`features` are equal up to a factor; allowed: rows with different directions"
    ):
        feature_map(rows)
    rows[3, 2] *= 1.1
    assert np.isfinite(feature_map(rows).neighbours).all()
