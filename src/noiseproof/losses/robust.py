r"""Per-example classification losses that are robust to wrong labels.

Each is a pure function of log-probabilities and given labels. Notation: p = exp(log_probs), y the given
label, k classes, T[i, j] = P(given = j | clean = i). Everything is computed from $\ln p$, so underflow of
p causes neither NaN nor infinite gradients. Leading axes are stacked heads.

`losses.losses` is the table of names, options and ranges.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

LogProbs = Float[Tensor, "*m b k"]
Labels = Int[Tensor, "*m b"]
PerExample = Float[Tensor, "*m b"]

# Bound of the peer term, which is subtracted and would otherwise make the loss unbounded below.
_MOST_PEER_NATS = -math.log(1e-8)


def cross_entropy(log_probs: LogProbs, given_labels: Labels, *, label_smoothing: float = 0.0) -> PerExample:
    r"""$-(1 - \epsilon) \ln p_y - \frac{\epsilon}{k} \sum_j \ln p_j$; >= 0, nats.

    Args:
        log_probs: of a head, rows sum to 1 as probabilities.
        given_labels: class ids in [0, k); may be wrong.
        label_smoothing: $\epsilon$, share of the target that is spread uniformly over all classes, in [0, 1).

    Source: label smoothing is Szegedy et al. 2016, arXiv:1512.00567, Section 7.
    """
    plain = -_given(log_probs, given_labels)
    if label_smoothing == 0:
        return plain
    return (1 - label_smoothing) * plain - label_smoothing * log_probs.mean(-1)


def gce(log_probs: LogProbs, given_labels: Labels, *, q: float = 0.7, threshold: float = 0.0) -> PerExample:
    r"""Generalised cross-entropy $(1 - p_y^q) / q$, in [0, 1 / q].

    q -> 0 is cross-entropy, q = 1 is $1 - p_y$, half of MAE. Truncated, an example with $p_y$ at or below the
    threshold has the constant loss $(1 - \mathrm{threshold}^q) / q$ and no gradient.

    Args:
        log_probs, given_labels: as in `cross_entropy`.
        q: robustness, in (0, 1].
        threshold: in [0, 1); 0 does not truncate. Above 1 / k an untrained head gets no gradient.

    Source: Zhang & Sabuncu 2018, arXiv:1805.07836, Section 3.2 (L_q) and Section 3.3 (truncated L_q).
    Differs: truncates from the first step; the paper prunes repeatedly from the middle of training.
    """
    log_given = _given(log_probs, given_labels)
    if threshold > 0:
        log_given = log_given.clamp_min(math.log(threshold))
    return -torch.expm1(q * log_given) / q


def mae(log_probs: LogProbs, given_labels: Labels) -> PerExample:
    r"""Mean absolute error $\| e_y - p \|_1 = 2 (1 - p_y)$, in [0, 2].

    Args:
        log_probs, given_labels: as in `cross_entropy`.

    Source: Ghosh, Kumar & Sastry 2017, arXiv:1712.09482, Section 3.
    """
    return -2 * torch.expm1(_given(log_probs, given_labels))


def sce(
    log_probs: LogProbs, given_labels: Labels, *, alpha: float = 0.1, beta: float = 1.0, clamp: float = -4.0
) -> PerExample:
    r"""Symmetric cross-entropy $\alpha\,\mathrm{CE} + \beta\,\mathrm{RCE}$; >= 0.

    The reverse term is $\mathrm{RCE} = -\sum_j p_j \ln e_{y,j} = -A (1 - p_y)$ with A in place of ln 0.

    Args:
        log_probs, given_labels: as in `cross_entropy`.
        alpha: weight of cross-entropy, for fast learning.
        beta: weight of the reverse term, for robustness.
        clamp: A < 0, nats.

    Source: Wang et al. 2019, arXiv:1908.06112, Section 3 (RCE, SL; defaults as for CIFAR-10).
    """
    log_given = _given(log_probs, given_labels)
    return beta * clamp * torch.expm1(log_given) - alpha * log_given


def nce_rce(
    log_probs: LogProbs, given_labels: Labels, *, alpha: float = 1.0, beta: float = 1.0, clamp: float = -4.0
) -> PerExample:
    r"""Active-passive: $\alpha\,\mathrm{NCE} + \beta\,\mathrm{RCE}$, NCE = $\ln p_y / \sum_j \ln p_j$; >= 0.

    Args:
        log_probs, given_labels: as in `cross_entropy`.
        alpha: weight of the normalised cross-entropy, which is in [0, 1].
        beta: weight of the reverse cross-entropy (`sce`).
        clamp: A < 0 in place of ln 0, nats.

    Source: Ma et al. 2020, arXiv:2006.13554, Section 3 (normalised losses, APL; weights as for CIFAR-10).
    """
    log_given = _given(log_probs, given_labels)
    # The sum is at most -k ln k: never zero.
    return alpha * log_given / log_probs.sum(-1) + beta * clamp * torch.expm1(log_given)


def nce_mae(
    log_probs: LogProbs, given_labels: Labels, *, alpha: float = 1.0, beta: float = 1.0
) -> PerExample:
    r"""Active-passive: $\alpha\,\mathrm{NCE} + \beta\,\mathrm{MAE}$, in [0, $\alpha + 2 \beta$].

    Args:
        log_probs, given_labels: as in `cross_entropy`.
        alpha: weight of the normalised cross-entropy.
        beta: weight of the mean absolute error.

    Source: Ma et al. 2020, arXiv:2006.13554, Section 3.
    """
    # MAE is the reverse cross-entropy with A = -2.
    return nce_rce(log_probs, given_labels, alpha=alpha, beta=beta, clamp=-2.0)


def forward(log_probs: LogProbs, given_labels: Labels, *, transition: Float[Tensor, "k k"]) -> PerExample:
    r"""Forward correction $-\ln (T^\top p)_y$: the head predicts clean labels, T maps them to given ones.

    Args:
        log_probs, given_labels: as in `cross_entropy`.
        transition: T, row-stochastic, without an empty column.

    Source: Patrini et al. 2017, arXiv:1609.03683, Theorem 2.
    """
    of_given = transition.mT[given_labels].log()  # ln T[:, y]; -inf where a class never becomes y
    return -torch.logsumexp(log_probs + of_given, -1)


def backward(log_probs: LogProbs, given_labels: Labels, *, inverse: Float[Tensor, "k k"]) -> PerExample:
    r"""Backward correction $\sum_j (T^{-1})_{yj} (-\ln p_j)$: its mean over the noise is clean cross-entropy.

    Not bounded: it can be negative, and an inverse with large entries makes training unstable.

    Args:
        log_probs, given_labels: as in `cross_entropy`.
        inverse: T^{-1}.

    Source: Patrini et al. 2017, arXiv:1609.03683, Theorem 1.
    """
    return -(inverse[given_labels] * log_probs).sum(-1)


def bootstrap_soft(log_probs: LogProbs, given_labels: Labels, *, beta: float = 0.95) -> PerExample:
    r"""$-\sum_j [\beta e_{y,j} + (1 - \beta) p_j] \ln p_j$; >= 0, nats.

    Args:
        log_probs, given_labels: as in `cross_entropy`.
        beta: weight of the given label, in [0, 1]; the rest is the weight of the head's own probabilities.

    Source: Reed et al. 2015, arXiv:1412.6596, Section 3.3 (soft). The gradient flows through p on both sides.
    """
    entropy = -(log_probs.exp() * log_probs).sum(-1)
    return beta * cross_entropy(log_probs, given_labels) + (1 - beta) * entropy


def bootstrap_hard(log_probs: LogProbs, given_labels: Labels, *, beta: float = 0.8) -> PerExample:
    r"""$-\beta \ln p_y - (1 - \beta) \ln \max_j p_j$; >= 0, nats.

    Args:
        log_probs, given_labels: as in `cross_entropy`.
        beta: weight of the given label, in [0, 1]; the rest is the weight of the class the head predicts.

    Source: Reed et al. 2015, arXiv:1412.6596, Section 3.3 (hard).
    """
    return beta * cross_entropy(log_probs, given_labels) - (1 - beta) * log_probs.amax(-1)


def peer(
    log_probs: LogProbs,
    given_labels: Labels,
    *,
    peer_examples: Labels,
    peer_labels: Labels,
    alpha: float = 1.0,
) -> PerExample:
    r"""$\mathrm{CE}(p_i, y_i) - \alpha\,\mathrm{CE}(p_a, y_b)$ with a, b drawn independently.

    Agreement with the labels of other examples happens by chance and is subtracted.

    Args:
        log_probs, given_labels: as in `cross_entropy`.
        peer_examples: a, positions in the batch.
        peer_labels: y_b.
        alpha: weight of the peer term, >= 0; 0 is cross-entropy.

    Returns:
        In [-ln(1e8) alpha, inf), nats.

    Source: Liu & Guo 2020, arXiv:1910.03231, Section 3 (peer loss) and 5 (alpha-weighted).
    Differs: the cross-entropy of a peer is bounded by ln(1e8), so that the loss has a lower bound.
    """
    places = peer_examples[..., None].expand_as(log_probs)
    of_peers = cross_entropy(log_probs.gather(-2, places), peer_labels)
    return cross_entropy(log_probs, given_labels) - alpha * of_peers.clamp_max(_MOST_PEER_NATS)


def taylor(log_probs: LogProbs, given_labels: Labels, *, order: int = 2) -> PerExample:
    r"""Taylor cross-entropy $\sum_{s=1}^{t} (1 - p_y)^s / s$; >= 0.

    Order 1 is half of MAE; the limit is cross-entropy.

    Args:
        log_probs, given_labels: as in `cross_entropy`.
        order: t, >= 1.

    Source: Feng et al. 2020, "Can Cross Entropy Loss Be Robust to Label Noise?", IJCAI, Section 3 (order as
    chosen there for CIFAR-10).
    """
    miss = -torch.expm1(_given(log_probs, given_labels))
    total = miss / order
    for s in range(order - 1, 0, -1):  # Horner
        total = miss * (1 / s + total)
    return total


def _given(values: LogProbs, given_labels: Labels) -> PerExample:
    return values.gather(-1, given_labels[..., None]).squeeze(-1)
