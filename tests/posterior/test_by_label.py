"""Sums by given label, against plain loops."""

import numpy as np
import pytest

from noiseproof.posterior import by_label
from noiseproof.posterior.by_label import expected_counts, label_blocks, symmetric_column
from noiseproof.posterior.true_labels import label_posterior


def drawn(n=50, k=4):
    rng = np.random.default_rng(0)
    return (
        rng.dirichlet(np.ones(k), size=n),
        rng.integers(0, k - 1, size=n),
        rng.dirichlet(np.ones(k), size=k),
    )


def test_counts_by_hand():
    probs, matrix = np.array([[0.8, 0.2], [0.5, 0.5]]), np.array([[0.9, 0.1], [0.1, 0.9]])
    # Given 1: 0.8 x 0.1 against 0.2 x 0.9, and 0.1 against 0.9; nothing was given 0.
    found = expected_counts(probs, np.array([1, 1]), lambda label: matrix[:, label])
    assert found == pytest.approx(np.array([[0, 0.08 / 0.26 + 0.1], [0, 0.18 / 0.26 + 0.9]]))


@pytest.mark.parametrize("block", [1, 9, 2**17])
def test_counts_equal_a_slow_loop(monkeypatch, block):
    monkeypatch.setattr(by_label, "_BLOCK_NUMBERS", block)
    probs, given, matrix = drawn()
    slow = np.zeros((4, 4))
    for p, label in zip(probs, given, strict=True):
        joint = [p[i] * matrix[i, label] for i in range(4)]
        for i in range(4):
            slow[i, label] += joint[i] / sum(joint)
    found = expected_counts(probs, given, lambda label: matrix[:, label])
    assert found == pytest.approx(slow, abs=1e-12)
    assert label_posterior(probs, given, matrix).sum(0) == pytest.approx(slow.sum(1))


@pytest.mark.parametrize("is_sorted", [True, False])
@pytest.mark.parametrize("block", [1, 9, 2**17])
def test_every_example_is_in_one_block_of_its_label(monkeypatch, block, is_sorted):
    monkeypatch.setattr(by_label, "_BLOCK_NUMBERS", block)
    probs, given, _ = drawn()
    given = np.sort(given) if is_sorted else given
    rows_seen = []
    for label, rows, values in label_blocks(probs, given):
        assert (given[rows] == label).all()
        assert (values == probs[rows]).all()
        assert np.shares_memory(values, probs) == is_sorted
        assert values.size <= max(block, 4)
        rows_seen += np.arange(50)[rows].tolist()
    assert sorted(rows_seen) == list(range(50))


def test_columns_of_symmetric_noise():
    column = symmetric_column(0.3, 4)
    assert column(2) == pytest.approx([0.1, 0.1, 0.7, 0.1])
    assert column(0) == pytest.approx([0.7, 0.1, 0.1, 0.1])
