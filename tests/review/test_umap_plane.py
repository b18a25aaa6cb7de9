"""The map by UMAP: what the package receives, and what it returns where it is installed."""

import importlib.util
import sys
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from noiseproof.core.errors import BadData, MissingExtra
from noiseproof.review.surroundings import find_surroundings
from noiseproof.review.umap_plane import load_umap, umap_plane


class LastColumns:
    """In place of UMAP: the last two columns, and what it was called with."""

    made: ClassVar[list] = []

    def __init__(self, **options):
        self.options = options
        LastColumns.made.append(self)

    def fit_transform(self, points):
        self.fitted = points
        return np.resize(points[:, -2:], (len(points), 2))


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(LastColumns, "made", [])
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=LastColumns))
    return lambda: LastColumns.made[-1]


def drawn(n, dim=60):
    return np.random.default_rng(0).normal(size=(n, dim)).astype(np.float32)


def test_it_fits_fifty_directions_from_a_fixed_start(made):
    points = drawn(30)
    assert umap_plane(points).tolist() == points[:, 48:50].tolist()
    assert made().fitted.shape == (30, 50)
    assert made().options.pop("init").tolist() == points[:, :2].tolist()
    assert made().options == {"n_neighbors": 15, "min_dist": 0.5, "random_state": 0, "n_jobs": 1}


def test_few_examples_have_fewer_neighbours_and_one_column_has_a_plane(made):
    umap_plane(drawn(5, dim=1))
    assert made().options["n_neighbors"] == 4
    assert (made().options["init"][:, 1] == 0).all()


@pytest.mark.parametrize(
    ("points", "found"), [(drawn(3), "3 examples"), (np.ones((9, 4), np.float32), "all alike")]
)
def test_nothing_to_place_is_refused(made, points, found):
    with pytest.raises(
        BadData, match=rf"`map` = 'umap' has .*{found} to place; allowed: 4 .*Next: --map pca"
    ):
        umap_plane(points)


def test_without_the_package_the_next_step_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(
        MissingExtra, match=r"the package `umap-learn`.*Next: pip install 'noiseproof\[umap\]'"
    ):
        load_umap()


def test_neighbours_lie_together_and_the_same_examples_have_the_same_places():
    if importlib.util.find_spec("umap") is None:
        pytest.skip("umap-learn is not installed: pip install 'noiseproof[umap]'")
    labels = np.arange(90) % 3
    rows = np.eye(3, 20)[labels] * 6 + np.random.default_rng(0).normal(size=(90, 20))
    first, again = (
        find_surroundings(rows, labels, np.arange(90), kind_of_map="umap").places for _ in range(2)
    )
    assert first.tolist() == again.tolist()
    apart = np.linalg.norm(first[:, None] - first[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (labels[apart.argmin(1)] == labels).mean() > 0.7  # by chance 0.33
