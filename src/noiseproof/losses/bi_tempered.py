r"""The bi-tempered logistic loss: a bounded logarithm and a softmax with a heavy tail.

$\log_t x = (x^{1-t} - 1) / (1 - t)$ and its inverse $\exp_t x = [1 + (1 - t) x]_+^{1/(1-t)}$ become ln and
exp as t -> 1. The tempered softmax is $p_i = \exp_{t_2}(a_i - \lambda)$ with lambda such that it sums to 1.
It is invariant to a common shift of all a_i, so log-probabilities can be used as activations.

Source: Amid et al. 2019, arXiv:1906.03361, Section 2 (tempered softmax) and 3 (loss).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

_STEPS_WITHOUT_GRADIENT = 5  # reach float32 precision at every temperature; tests/losses/test_bi_tempered.py
_STEPS_WITH_GRADIENT = 2  # the first makes first derivatives exact, the second also second derivatives


def bi_tempered(
    log_probs: Float[Tensor, "*m b k"], given_labels: Int[Tensor, "*m b"], *, t1: float = 0.8, t2: float = 1.2
) -> Float[Tensor, "*m b"]:
    r"""$-\log_{t_1} p_y - \frac{1}{2 - t_1} (1 - \sum_j p_j^{2 - t_1})$ with p the tempered softmax; >= 0.

    t1 = t2 = 1 is cross-entropy. With t1 < 1 the loss is at most $1 / (1 - t_1)$.

    Args:
        log_probs: activations, up to a constant per row.
        given_labels: class ids in [0, k); may be wrong.
        t1: temperature of the logarithm, in [0, 1]; lower is more robust to outliers.
        t2: temperature of the softmax, in [1, 4]; higher has a heavier tail, for wrong labels near the
            boundary.

    Source: Amid et al. 2019, arXiv:1906.03361, Section 3.
    """
    log_p = tempered_log_softmax(log_probs, t2)
    log_given = log_p.gather(-1, given_labels[..., None]).squeeze(-1)
    bounded = log_given if t1 == 1 else torch.expm1((1 - t1) * log_given) / (1 - t1)
    return -bounded - (1 - ((2 - t1) * log_p).exp().sum(-1)) / (2 - t1)


def tempered_log_softmax(activations: Float[Tensor, "*m b k"], t2: float) -> Float[Tensor, "*m b k"]:
    r"""Logarithm of the tempered softmax.

    With u = t2 - 1 and distances $d_i = \max_j a_j - a_i$, $p_i = (1 + u (\lambda + d_i))^{-1/u}$. As a
    function of lambda, $S^{-u}$ with $S = \sum_i p_i$ is increasing and concave, and at most 1 at lambda = 0,
    so Newton's steps for $S^{-u} = 1$ approach from below and never overshoot.

    Args:
        activations: unnormalised.
        t2: >= 1; 1 is the softmax.

    Differs: Newton's method; the paper uses a fixed-point iteration, its Algorithm 1.
    """
    if t2 == 1:
        return torch.log_softmax(activations, -1)
    u = t2 - 1
    distances = activations.amax(-1, keepdim=True) - activations
    with torch.no_grad():
        shift = torch.zeros_like(distances[..., :1])
        for _ in range(_STEPS_WITHOUT_GRADIENT):
            shift = _newton(shift, distances, u)
    for _ in range(_STEPS_WITH_GRADIENT):
        shift = _newton(shift, distances, u)
    return torch.log1p(u * (shift + distances)) / -u


def _newton(shift: Tensor, distances: Tensor, u: float) -> Tensor:
    log_weight = torch.log1p(u * (shift + distances))
    log_sum = torch.logsumexp(log_weight / -u, -1, keepdim=True)
    log_slope = torch.logsumexp(log_weight * -(1 / u + 1), -1, keepdim=True)
    return shift + torch.exp(log_sum - log_slope) * torch.expm1(u * log_sum) / u
