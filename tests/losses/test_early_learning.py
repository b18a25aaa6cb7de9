import math

import pytest
import torch

from noiseproof.losses.batch import batch_loss
from noiseproof.losses.early_learning import EarlyLearningLoss, elr
from noiseproof.losses.losses import resolve_options
from noiseproof.losses.robust import cross_entropy


def test_by_hand():
    log_probs = torch.tensor([[0.2, 0.8], [0.5, 0.5]], dtype=torch.float64).log()
    targets = torch.tensor([[0.0, 0.5], [1.0, 0.0]], dtype=torch.float64)
    loss = elr(log_probs, torch.tensor([0, 0]), targets=targets, strength=2.0)
    # <p, t> is 0.4 and 0.5.
    assert loss.tolist() == pytest.approx([math.log(5) + 2 * math.log(0.6), math.log(2) + 2 * math.log(0.5)])


def slow_training(probs, rows, labels, n, strength, momentum):
    """Losses of one head over some steps, example by example; nothing here comes near the bounds of p."""
    k = len(probs[0][0])
    targets = [[0.0] * k for _ in range(n)]
    steps = []
    for of_step, index in zip(probs, rows, strict=True):
        losses = []
        for p, row in zip(of_step, index, strict=True):
            targets[row] = [momentum * t + (1 - momentum) * q for t, q in zip(targets[row], p, strict=True)]
            agreement = sum(t * q for t, q in zip(targets[row], p, strict=True))
            losses.append(-math.log(p[labels[row]]) + strength * math.log(1 - agreement))
        steps.append(losses)
    return steps


def test_equals_a_slow_loop_over_stacked_heads_and_steps():
    n, k, b = 6, 3, 4
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % k
    options = resolve_options("elr", {"strength": 1.5, "momentum": 0.6})
    loss = batch_loss("elr", options, num_examples=n, num_classes=k, generators=[generator] * 2)
    steps = []
    for _ in range(3):
        log_probs = torch.randn(2, b, k, generator=generator, dtype=torch.float64).log_softmax(-1)
        rows = torch.stack([torch.randperm(n, generator=generator)[:b] for _ in range(2)])
        steps.append((log_probs, rows, loss(log_probs, labels[rows], rows)))
    for m in range(2):
        expected = slow_training(
            [log_probs[m].exp().tolist() for log_probs, _, _ in steps],
            [rows[m].tolist() for _, rows, _ in steps], labels.tolist(), n, 1.5, 0.6,
        )  # fmt: skip
        for (_, _, found), losses in zip(steps, expected, strict=True):
            assert found[m].tolist() == pytest.approx(losses)


def test_without_strength_it_is_cross_entropy():
    log_probs = torch.randn(5, 3).log_softmax(-1)
    labels = torch.arange(5) % 3
    loss = elr(log_probs, labels, targets=log_probs.exp(), strength=0.0)
    assert loss.tolist() == pytest.approx(cross_entropy(log_probs, labels).tolist())


def test_two_views_of_an_example_share_its_target():
    memory = EarlyLearningLoss(3, momentum=0.5, strength=3.0)
    first, second = torch.tensor([[0.2, 0.8]]), torch.tensor([[0.6, 0.4]])
    targets = memory.updated(torch.cat([first, second])[None].log(), torch.tensor([[2]]))
    assert targets[0].tolist() == [pytest.approx([0.2, 0.3])] * 2  # half of the mean (0.4, 0.6)
    again = memory.updated(torch.cat([first, first])[None].log(), torch.tensor([[2]]))
    assert again[0].tolist() == [pytest.approx([0.2, 0.55])] * 2
    other = memory.updated(torch.cat([first, first])[None].log(), torch.tensor([[0]]))
    assert other[0].tolist() == [pytest.approx([0.1, 0.4])] * 2  # never seen before


def test_no_gradient_flows_into_a_target():
    logits = torch.randn(1, 2, 3, dtype=torch.float64, requires_grad=True)
    targets = EarlyLearningLoss(2, momentum=0.5, strength=3.0).updated(
        logits.log_softmax(-1), torch.tensor([[0, 1]])
    )
    assert not targets.requires_grad


def test_gradient_equals_finite_differences():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.rand(6, 4, generator=generator, dtype=torch.float64).softmax(-1)
    labels = torch.arange(6) % 4
    assert torch.autograd.gradcheck(lambda x: elr(x.log_softmax(-1), labels, targets=targets), (logits,))


def test_agreement_with_the_target_is_rewarded():
    labels, targets = torch.tensor([0, 0]), torch.tensor([[0.0, 0.95], [0.0, 0.0]])
    logits = torch.tensor([[0.0, 2.0], [0.0, 2.0]], requires_grad=True)
    elr(logits.log_softmax(-1), labels, targets=targets).sum().backward()
    # The given label is 0; the head said 1 before. Without a target it is pulled to 0.
    assert logits.grad[0, 0] > 0 > logits.grad[1, 0]
