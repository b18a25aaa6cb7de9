"""The loss that is to be expected of a label that is known with a probability."""

import math

import pytest
import torch

from noiseproof.losses.batch import expected_loss, per_example_loss
from noiseproof.losses.losses import TABLE, needs_transition, resolve_options

K = 3
T = [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]
PLAIN = sorted(TABLE.keys() - {"peer", "elr"})


def test_cross_entropy_by_hand():
    loss = expected_loss("cross_entropy", resolve_options("cross_entropy", None), num_classes=2)
    found = loss(torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log(), torch.tensor([[0.3, 0.7], [1.0, 0.0]]))
    assert found.tolist() == pytest.approx([math.log(2), -math.log(0.9)])


@pytest.mark.parametrize("name", [*PLAIN, "smoothed"])
def test_every_loss_equals_a_slow_loop_over_classes(name):
    options = {"transition": T} if needs_transition(name) else None
    if name == "smoothed":
        name, options = "cross_entropy", {"label_smoothing": 0.2}
    options = resolve_options(name, options)
    generator = torch.Generator().manual_seed(0)
    log_probs = torch.log_softmax(torch.randn(2, 5, K, generator=generator).double(), -1)
    probs = torch.softmax(torch.randn(2, 5, K, generator=generator).double(), -1)
    found = expected_loss(name, options, num_classes=K)(log_probs, probs)
    plain = per_example_loss(name, options, num_classes=K)
    for member in range(2):
        for row in range(5):
            expected = sum(
                probs[member, row, label] * plain(log_probs[member, row][None], torch.tensor([label]))[0]
                for label in range(K)
            )
            assert found[member, row].item() == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize("name", PLAIN)
def test_a_sure_label_has_the_loss_itself(name):
    options = resolve_options(name, {"transition": T} if needs_transition(name) else None)
    log_probs = torch.log_softmax(torch.arange(12.0).reshape(4, K).sin(), -1)
    labels = torch.tensor([0, 2, 1, 1])
    sure = torch.nn.functional.one_hot(labels, K).to(log_probs)
    found = expected_loss(name, options, num_classes=K)(log_probs, sure)
    assert found.tolist() == pytest.approx(
        per_example_loss(name, options, num_classes=K)(log_probs, labels).tolist()
    )
