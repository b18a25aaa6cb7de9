import math

import numpy as np
import pytest
import scipy.optimize
import torch

from noiseproof.losses.bi_tempered import bi_tempered, tempered_log_softmax
from noiseproof.losses.robust import cross_entropy, mae


def log_t(x, t):
    return math.log(x) if t == 1 else (x ** (1 - t) - 1) / (1 - t)


def exp_t(x, t):
    return math.exp(x) if t == 1 else max(1 + (1 - t) * x, 0.0) ** (1 / (1 - t))


def slow_softmax(row, t):
    """The normaliser by bisection."""
    excess = lambda shift: sum(exp_t(a - shift, t) for a in row) - 1  # noqa: E731
    shift = scipy.optimize.brentq(excess, max(row), max(row) + 1e6, xtol=1e-13, rtol=1e-14)
    return [exp_t(a - shift, t) for a in row]


def slow_loss(row, y, t1, t2):
    """Amid et al. 2019: the Bregman divergence to the one-hot label, term by term."""
    total = 0.0
    for j, p in enumerate(slow_softmax(row, t2)):
        target = float(j == y)
        if target:
            total += target * (log_t(target, t1) - log_t(p, t1))
        total -= (target ** (2 - t1) - p ** (2 - t1)) / (2 - t1)
    return total


def some(k=4, n=10, scale=3.0):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, k, generator=generator, dtype=torch.float64) * scale, torch.arange(n) % k


def test_by_hand():
    """t2 = 2: p_i = 1 / (1 + lambda + d_i); with d = (0, 1.5), lambda = 1 gives 1/2 and 2/7, which is too
    little; lambda = 0.5 gives 2/3 and 1/3. With t1 = 0, log_t p = p - 1 and the loss is
    (1 - p) - (1 - p^2 - (1 - p)^2) / 2 = (1 - p)^2."""
    activations = torch.tensor([[0.0, -1.5]], dtype=torch.float64)
    assert tempered_log_softmax(activations, 2.0).exp().tolist() == [pytest.approx([2 / 3, 1 / 3])]
    loss = bi_tempered(activations.repeat(2, 1), torch.tensor([0, 1]), t1=0.0, t2=2.0)
    assert loss.tolist() == pytest.approx([1 / 9, 4 / 9])


@pytest.mark.parametrize("t1", [0.0, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("t2", [1.0, 1.2, 2.0, 4.0])
def test_equals_a_slow_loop(t1, t2):
    activations, labels = some()
    found = bi_tempered(activations, labels, t1=t1, t2=t2)
    for i in range(len(labels)):
        expected = slow_loss(activations[i].tolist(), int(labels[i]), t1, t2)
        assert float(found[i]) == pytest.approx(expected, rel=1e-8, abs=1e-10)


def test_without_temperature_it_is_cross_entropy():
    activations, labels = some()
    log_probs = activations.log_softmax(-1)
    expected = cross_entropy(log_probs, labels).tolist()
    assert bi_tempered(log_probs, labels, t1=1.0, t2=1.0).tolist() == pytest.approx(expected)
    assert bi_tempered(log_probs, labels, t1=1.0 - 1e-9, t2=1.0 + 1e-9).tolist() == pytest.approx(
        expected, rel=1e-6
    )


def test_it_is_bounded_by_the_first_temperature():
    activations = torch.tensor([[1e4, -1e4, 0.0]], dtype=torch.float64)
    for t1 in (0.0, 0.5, 0.8):
        assert 0 <= float(bi_tempered(activations, torch.tensor([1]), t1=t1, t2=1.5)) <= 1 / (1 - t1)


def test_a_shift_of_the_activations_changes_nothing():
    activations, labels = some()
    shifted = bi_tempered(activations + 123.0, labels, t1=0.3, t2=1.7)
    assert shifted.tolist() == pytest.approx(bi_tempered(activations, labels, t1=0.3, t2=1.7).tolist())


@pytest.mark.parametrize("k", [2, 10, 1000])
@pytest.mark.parametrize("t2", [1.0001, 1.2, 2.0, 4.0])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0, 1e4])
def test_probabilities_sum_to_one(k, t2, scale):
    activations, _ = some(k=k, scale=scale)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 3e-6)):
        sums = tempered_log_softmax(activations.to(dtype), t2).exp().sum(-1)
        assert sums.tolist() == pytest.approx([1.0] * 10, abs=tolerance)


def test_the_tail_is_heavier_than_that_of_the_softmax():
    activations = torch.tensor([[0.0, -10.0]])
    assert tempered_log_softmax(activations, 1.2)[0, 1] > torch.log_softmax(activations, -1)[0, 1] + 2


@pytest.mark.parametrize("t2", [1.2, 3.0])
def test_first_and_second_derivatives_equal_finite_differences(t2):
    activations, labels = some(n=3, scale=1.5)
    activations.requires_grad_()
    loss = lambda x: bi_tempered(x, labels, t1=0.6, t2=t2)  # noqa: E731
    assert torch.autograd.gradcheck(loss, (activations,))
    assert torch.autograd.gradgradcheck(loss, (activations,))


def test_gradient_by_the_implicit_formula():
    """dp_i / da_j = p_i^t (delta_ij - p_j^t / sum p^t), with the escort distribution."""
    activations, _ = some(n=1)
    t2 = 1.6
    found = torch.autograd.functional.jacobian(
        lambda a: tempered_log_softmax(a[None], t2)[0].exp(), activations[0]
    )
    p = tempered_log_softmax(activations, t2)[0].exp().numpy()
    escort = p**t2 / (p**t2).sum()
    assert found.numpy() == pytest.approx(np.diag(p**t2) - np.outer(p**t2, escort), abs=1e-12)


def test_linear_logarithm_and_softmax_is_the_brier_score():
    activations, labels = some()
    probs = activations.softmax(-1)
    brier = (torch.nn.functional.one_hot(labels, 4) - probs).square().sum(-1) / 2
    assert bi_tempered(activations, labels, t1=0.0, t2=1.0).tolist() == pytest.approx(brier.tolist())
    assert (brier <= mae(probs.log(), labels)).all()
