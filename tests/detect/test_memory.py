"""Memory of the detectors: blocks of features, never several copies of them."""

import tracemalloc

import numpy as np
import pytest

from noiseproof.detect.neighbours import nearest
from noiseproof.detect.text_tower import unit_rows
from noiseproof.detect.training_dynamics import training_dynamics
from noiseproof.posterior.copies import find_copies
from noiseproof.posterior.leave_one_out import leave_one_out

DIM = 256


def peak_bytes(call, features):
    """Largest memory of NumPy beside the features."""
    tracemalloc.start()
    call(features)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def scores(features):
    leave_one_out(features, np.arange(len(features)) % 5, num_classes=5)


def dynamics(features):
    training_dynamics(features, np.arange(len(features)) % 5, num_classes=5, seed=0)


def graph(features):
    nearest(features, num=10, search="graph")


def blocks_of_unit_length(features):
    for _ in unit_rows(features).blocks():
        pass


@pytest.mark.parametrize(
    ("call", "most_per_row"),
    [
        (scores, 200),  # scores and targets of 5 classes
        (find_copies, 8 * 64 * 4),  # projections on 64 directions, sorted
        (lambda features: nearest(features, num=10, search="exact"), 200),  # numbers and similarities of 10
        pytest.param(graph, 400, marks=pytest.mark.slow),  # the same, put together
        pytest.param(dynamics, 500, marks=pytest.mark.slow),  # batches grow, too
        (blocks_of_unit_length, 10),
    ],
    ids=["leave-one-out", "copies", "neighbours", "graph", "dynamics", "unit-length"],
)
def test_memory_per_row(call, most_per_row):
    if call is graph:
        pytest.importorskip("faiss", reason="faiss-cpu is not installed (extra 'scale')")
    rng = np.random.default_rng(0)
    few, many = (rng.standard_normal((n, DIM), dtype=np.float32) for n in (6000, 12_000))
    call(few[:100])  # what is made once
    growth = peak_bytes(call, many) - peak_bytes(call, few)
    assert growth / 6000 < most_per_row


def test_neighbours_in_tiles_are_those_of_one_product(monkeypatch):
    from noiseproof.detect import neighbours

    rng = np.random.default_rng(0)
    features = rng.integers(-1, 2, (90, 3)).astype(np.float32)  # many equal similarities
    groups = np.arange(90) // 2
    whole = nearest(features, num=7, search="exact", groups=groups)
    monkeypatch.setattr(neighbours, "_BLOCK_ROWS", 8)
    monkeypatch.setattr(neighbours, "_TILE", 5)
    rows, similarities = nearest(features, num=7, search="exact", groups=groups)
    assert similarities == pytest.approx(whole[1], abs=1e-6)
    assert (rows[:, None, :] == rows[:, :, None]).sum() == rows.size  # none twice
    assert not (rows == groups[:, None]).any()
