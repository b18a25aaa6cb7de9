"""Every loss by hand, against a slow loop in plain Python, and in its known limits."""

import math

import numpy as np
import pytest
import torch

from noiseproof.losses.batch import per_example_loss
from noiseproof.losses.losses import resolve_options
from noiseproof.losses.robust import (
    backward,
    bootstrap_hard,
    bootstrap_soft,
    cross_entropy,
    forward,
    gce,
    mae,
    nce_mae,
    nce_rce,
    peer,
    sce,
    taylor,
)

# A head says (1/8, 2/8, 5/8), three times; the given labels are 0, 1 and 2.
LOG_PROBS = torch.tensor([[1 / 8, 2 / 8, 5 / 8]], dtype=torch.float64).repeat(3, 1).log()
LABELS = torch.tensor([0, 1, 2])
T = np.array([[0.8, 0.2, 0.0], [0.1, 0.6, 0.3], [0.0, 0.25, 0.75]])
TRANSITION = torch.from_numpy(T)

BY_HAND = {
    "cross_entropy": (cross_entropy, {}, [math.log(8), math.log(4), math.log(8 / 5)]),
    "smoothed": (  # 0.7 of the given label's and 0.1 of each class's
        cross_entropy,
        {"label_smoothing": 0.3},
        [0.7 * math.log(x) + 0.1 * math.log(8 * 4 * 8 / 5) for x in (8, 4, 8 / 5)],
    ),
    "gce": (gce, {"q": 1 / 3}, [3 * (1 - 1 / 2), 3 * (1 - 0.25 ** (1 / 3)), 3 * (1 - 0.625 ** (1 / 3))]),
    "gce, truncated": (gce, {"q": 0.5, "threshold": 0.25}, [1.0, 1.0, 2 - 2 * math.sqrt(5 / 8)]),
    "mae": (mae, {}, [7 / 4, 6 / 4, 3 / 4]),
    "sce": (
        sce,
        {"alpha": 0.5, "beta": 2.0, "clamp": -3.0},
        [0.5 * math.log(8) + 6 * 7 / 8, 0.5 * math.log(4) + 6 * 6 / 8, 0.5 * math.log(1.6) + 6 * 3 / 8],
    ),
    "nce_rce": (
        nce_rce,
        {"alpha": 2.0, "beta": 0.5, "clamp": -4.0},
        [2 * math.log(x) / math.log(51.2) + 2 * (1 - 1 / x) for x in (8, 4, 1.6)],
    ),
    "nce_mae": (
        nce_mae,
        {"alpha": 3.0, "beta": 0.5},
        [3 * math.log(x) / math.log(51.2) + (1 - 1 / x) for x in (8, 4, 1.6)],
    ),
    "forward": (  # T^T p = (0.1 + 0.025, 0.025 + 0.15 + 0.15625, 0.075 + 0.46875)
        forward, {"transition": TRANSITION}, [-math.log(0.125), -math.log(0.33125), -math.log(0.54375)],
    ),
    "backward": (  # of a matrix whose inverse is (1.5, -0.5, 0), (-0.5, 1.5, 0), (0, 0, 1)
        backward,
        {"inverse": torch.tensor([[1.5, -0.5, 0], [-0.5, 1.5, 0], [0, 0, 1]], dtype=torch.float64)},
        [1.5 * math.log(8) - 0.5 * math.log(4), 1.5 * math.log(4) - 0.5 * math.log(8), math.log(1.6)],
    ),
    "bootstrap_soft": (
        bootstrap_soft,
        {"beta": 0.6},
        [0.6 * math.log(x) + 0.4 * (math.log(8) / 8 + math.log(4) / 4 + 0.625 * math.log(1.6))
         for x in (8, 4, 1.6)],
    ),
    "bootstrap_hard": (
        bootstrap_hard, {"beta": 0.6}, [0.6 * math.log(x) + 0.4 * math.log(1.6) for x in (8, 4, 1.6)],
    ),
    "peer": (  # peers: prediction 1 with label 0, and so on; all predictions are alike
        peer,
        {"peer_examples": torch.tensor([1, 2, 0]), "peer_labels": torch.tensor([0, 2, 1]), "alpha": 0.5},
        [0.5 * math.log(8), math.log(4) - 0.5 * math.log(1.6), math.log(1.6) - 0.5 * math.log(4)],
    ),
    "taylor": (
        taylor, {"order": 3}, [m + m**2 / 2 + m**3 / 3 for m in (7 / 8, 6 / 8, 3 / 8)],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("function", "options", "expected"), BY_HAND.values(), ids=BY_HAND)
def test_by_hand(function, options, expected):
    assert function(LOG_PROBS, LABELS, **options).tolist() == pytest.approx(expected, rel=1e-12)


# Against a slow loop


def slow_cross_entropy(p, y, label_smoothing=0.0):
    target = [label_smoothing / len(p) + (1 - label_smoothing) * (j == y) for j in range(len(p))]
    return -sum(t * math.log(q) for t, q in zip(target, p, strict=True))


def slow_reverse(p, y, clamp):
    return -sum(q * (0.0 if j == y else clamp) for j, q in enumerate(p))


def slow_normalised(p, y):
    return slow_cross_entropy(p, y) / sum(slow_cross_entropy(p, j) for j in range(len(p)))


def slow_forward(p, y, transition):
    return -math.log(sum(p[i] * transition[i][y] for i in range(len(p))))


def slow_backward(p, y, transition):
    losses = np.array([-math.log(q) for q in p])
    return float(np.linalg.solve(transition, losses)[y])  # T^{-1} l


def slow_bootstrap_soft(p, y, beta):
    return -sum((beta * (j == y) + (1 - beta) * q) * math.log(q) for j, q in enumerate(p))


def slow_bootstrap_hard(p, y, beta):
    best = max(range(len(p)), key=lambda j: p[j])
    return -sum((beta * (j == y) + (1 - beta) * (j == best)) * math.log(q) for j, q in enumerate(p))


SLOW = {
    "cross_entropy": ({"label_smoothing": 0.2}, slow_cross_entropy),
    "gce": ({"q": 0.4, "threshold": 0.2}, lambda p, y, q, threshold: (1 - max(p[y], threshold) ** q) / q),
    "mae": ({}, lambda p, y: sum(abs((j == y) - q) for j, q in enumerate(p))),
    "sce": (
        {"alpha": 0.3, "beta": 0.9, "clamp": -5.0},
        lambda p, y, alpha, beta, clamp: alpha * slow_cross_entropy(p, y) + beta * slow_reverse(p, y, clamp),
    ),
    "nce_rce": (
        {"alpha": 1.5, "beta": 0.2, "clamp": -2.0},
        lambda p, y, alpha, beta, clamp: alpha * slow_normalised(p, y) + beta * slow_reverse(p, y, clamp),
    ),
    "nce_mae": (
        {"alpha": 1.5, "beta": 0.2},
        lambda p, y, alpha, beta: alpha * slow_normalised(p, y) + beta * 2 * (1 - p[y]),
    ),
    "forward": ({"transition": T}, slow_forward),
    "backward": ({"transition": T}, slow_backward),
    "bootstrap_soft": ({"beta": 0.7}, slow_bootstrap_soft),
    "bootstrap_hard": ({"beta": 0.7}, slow_bootstrap_hard),
    "taylor": ({"order": 5}, lambda p, y, order: sum((1 - p[y]) ** s / s for s in range(1, order + 1))),
}


@pytest.mark.parametrize("name", SLOW)
def test_equals_a_slow_loop(name):
    options, slow = SLOW[name]
    generator = torch.Generator().manual_seed(0)
    log_probs = torch.randn(2, 6, 3, generator=generator, dtype=torch.float64).log_softmax(-1)
    labels = torch.randint(3, (2, 6), generator=generator)
    found = per_example_loss(name, resolve_options(name, options), num_classes=3)(log_probs, labels)
    for m in range(2):
        for i in range(6):
            expected = slow(log_probs[m, i].exp().tolist(), int(labels[m, i]), **options)
            assert float(found[m, i]) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_peer_equals_a_slow_loop():
    generator = torch.Generator().manual_seed(0)
    log_probs = (torch.randn(2, 6, 3, generator=generator, dtype=torch.float64) * 20).log_softmax(-1)
    labels, others = torch.randint(3, (2, 2, 6), generator=generator)
    places = torch.stack([torch.randperm(6, generator=generator) for _ in range(2)])
    found = peer(log_probs, labels, peer_examples=places, peer_labels=others, alpha=0.3)
    for m in range(2):
        for i in range(6):
            taken_off = min(-float(log_probs[m, places[m, i], others[m, i]]), math.log(1e8))
            assert float(found[m, i]) == pytest.approx(
                -float(log_probs[m, i, labels[m, i]]) - 0.3 * taken_off
            )
    assert any(
        float(-log_probs[m, places[m, i], others[m, i]]) > math.log(1e8) for m in range(2) for i in range(6)
    )


# Known limits


def some(k=5, n=20):
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(n, k, generator=generator, dtype=torch.float64) * 3
    return logits.log_softmax(-1), torch.randint(k, (n,), generator=generator)


CE, MAE = cross_entropy(*some()), mae(*some())
LIMITS = {
    "gce, q -> 0, is cross-entropy": (lambda *xy: gce(*xy, q=1e-9), CE),
    "gce, q = 1, is half of MAE": (lambda *xy: gce(*xy, q=1.0), MAE / 2),
    "sce, beta = 0": (lambda *xy: sce(*xy, alpha=1.0, beta=0.0), CE),
    "sce, alpha = 0, is MAE up to scale": (lambda *xy: sce(*xy, alpha=0.0, beta=1.0, clamp=-2.0), MAE),
    "forward, no noise": (lambda *xy: forward(*xy, transition=torch.eye(5).double()), CE),
    "backward, no noise": (lambda *xy: backward(*xy, inverse=torch.eye(5).double()), CE),
    "bootstrap_soft, beta = 1": (lambda *xy: bootstrap_soft(*xy, beta=1.0), CE),
    "bootstrap_hard, beta = 1": (lambda *xy: bootstrap_hard(*xy, beta=1.0), CE),
    "peer, alpha = 0": (lambda x, y: peer(x, y, peer_examples=y, peer_labels=y, alpha=0.0), CE),
    "taylor, order 1, is half of MAE": (lambda *xy: taylor(*xy, order=1), MAE / 2),
    "nce_mae, alpha = 0": (lambda *xy: nce_mae(*xy, alpha=0.0, beta=1.0), MAE),
}


@pytest.mark.parametrize(("loss", "expected"), LIMITS.values(), ids=LIMITS)
def test_limits(loss, expected):
    assert loss(*some()).tolist() == pytest.approx(expected.tolist(), rel=1e-6, abs=1e-12)


def test_taylor_of_high_order_is_cross_entropy_where_the_label_is_likely():
    log_probs = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64).log()
    assert float(taylor(log_probs, torch.tensor([0]), order=60)) == pytest.approx(math.log(2))


def test_backward_is_the_clean_loss_on_average_over_the_noise():
    log_probs, _ = some(k=3, n=4)
    inverse = torch.from_numpy(np.linalg.inv(T))
    for clean in range(3):
        by_label = [backward(log_probs, torch.full((4,), given), inverse=inverse) for given in range(3)]
        average = sum(share * loss for share, loss in zip(T[clean], by_label, strict=True))
        assert average.tolist() == pytest.approx((-log_probs[:, clean]).tolist())


def test_forward_is_least_where_the_head_says_the_clean_posterior():
    posterior = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
    given = TRANSITION.mT @ posterior

    def risk(probs):
        losses = [forward(probs.log()[None], torch.tensor([y]), transition=TRANSITION) for y in range(3)]
        return sum(float(share * loss) for share, loss in zip(given, losses, strict=True))

    for step in ([0.05, -0.05, 0], [0, 0.05, -0.05], [-0.05, 0, 0.05]):
        assert risk(posterior) < risk(posterior + torch.tensor(step, dtype=torch.float64))


@pytest.mark.parametrize(
    "function", [mae, nce_mae, lambda *xy: gce(*xy, q=1.0), lambda *xy: taylor(*xy, order=1)]
)
def test_bounded_losses_of_one_example_sum_to_a_constant_over_the_labels(function):
    """The symmetry that makes a loss robust to symmetric noise: Ghosh et al. 2017, Eq. 3."""
    log_probs, _ = some(k=4)
    sums = sum(function(log_probs, torch.full((20,), y)) for y in range(4))
    assert sums.tolist() == pytest.approx([float(sums[0])] * 20)


def test_a_truncated_example_has_no_gradient():
    log_probs = torch.tensor([[0.1, 0.9], [0.6, 0.4]], dtype=torch.float64).log().requires_grad_()
    gce(log_probs, torch.tensor([0, 0]), threshold=0.3).sum().backward()
    assert log_probs.grad[0].tolist() == [0.0, 0.0]
    assert log_probs.grad[1, 0] < 0
