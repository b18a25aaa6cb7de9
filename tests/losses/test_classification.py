import math

import pytest
import torch

from noiseproof.losses.classification import LOSSES, cross_entropy


def test_cross_entropy_by_hand():
    # softmax of (ln 1, ln 2, ln 5) is (1/8, 2/8, 5/8).
    logits = torch.tensor([[0.0, math.log(2), math.log(5)]], dtype=torch.float64).repeat(3, 1)
    loss = cross_entropy(logits, torch.tensor([0, 1, 2]))
    assert loss.tolist() == pytest.approx([math.log(8), math.log(4), math.log(8 / 5)])


def test_cross_entropy_equals_a_slow_loop():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(4, (2, 5), generator=generator)
    loss = cross_entropy(logits, labels)
    for m in range(2):
        for i in range(5):
            row = [math.exp(v) for v in logits[m, i].tolist()]
            expected = -math.log(row[int(labels[m, i])] / sum(row))
            assert float(loss[m, i]) == pytest.approx(expected)


def test_cross_entropy_of_large_logits_is_finite():
    loss = cross_entropy(torch.tensor([[1e4, -1e4], [-1e4, 1e4]]), torch.tensor([0, 0]))
    assert loss.tolist() == pytest.approx([0.0, 2e4])


def test_table_holds_the_losses_of_this_version():
    assert LOSSES.names == ("cross_entropy",)
    assert LOSSES.load("cross_entropy") is cross_entropy
