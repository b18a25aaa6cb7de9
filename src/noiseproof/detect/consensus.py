r"""The transition matrix from the labels of nearest neighbours, without a classifier or anchor points.

If an example and its two nearest neighbours have the same true class, their three given labels are
independent draws from one row of T. With p the shares of the classes, the labels i, j, l occur together with
probability $q_{ijl} = \sum_y p_y T_{yi} T_{yj} T_{yl}$; p and T maximise the likelihood of the observed
triples. Sums of q over one or two labels are the second-order and first-order consensus, so q contains both.

Features whose neighbours often have another true class make the noise look larger than it is.

Source: Zhu, Song & Liu 2021, arXiv:2102.05291, Section 3.1 (consensuses) and 4.1 (clusterability).
Differs: maximum likelihood; the paper minimises the squared error of the three orders with Adam, which on the
same triples was slower and up to six times less accurate (pair noise, 10 classes).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment, minimize
from scipy.sparse import csr_array
from scipy.special import softmax
from sklearn.neighbors import NearestNeighbors

from noiseproof.core.threads import one_thread
from noiseproof.core.unit_length import unit_length

_START_DIAGONAL = 0.6  # of T, so that classes keep their order
_MOST_STEPS = 500


@dataclass(frozen=True, eq=False)
class Consensus:
    """Frequencies of the given labels of examples and their two nearest neighbours.

    Attributes:
        triples: distinct label triples, with all orders of the three labels.
        shares: frequency of each triple; sum to 1.
        num_classes: k.
    """

    triples: Int[np.ndarray, "u 3"]
    shares: Float[np.ndarray, " u"]
    num_classes: int


def label_consensus(
    features: Float[np.ndarray, "n d"],
    given_labels: Int[np.ndarray, " n"],
    *,
    num_classes: int,
    max_examples: int,
    rng: np.random.Generator,
) -> Consensus:
    """Count the label triples of examples and their two nearest neighbours by cosine.

    Args:
        features: from any frozen encoder; a row of zeros has cosine 0 with every other row.
        given_labels: class ids in [0, k).
        num_classes: k.
        max_examples: neighbours, among all examples, are searched for at most this many random examples.
        rng: draws these examples.
    """
    n = len(given_labels)
    unit = unit_length(features).astype(np.float32, copy=False)
    queries = np.sort(rng.choice(n, max_examples, replace=False)) if n > max_examples else np.arange(n)
    found = NearestNeighbors(n_neighbors=3, algorithm="brute").fit(unit).kneighbors(unit[queries])[1]
    triples = given_labels[_with_self_first(found, queries)]
    ordered = np.concatenate([triples[:, list(order)] for order in itertools.permutations(range(3))])
    different, counts = np.unique(ordered, axis=0, return_counts=True)
    return Consensus(different, counts / counts.sum(), num_classes)


def solve_consensus(
    consensus: Consensus,
) -> tuple[Float[np.ndarray, "k k"], Float[np.ndarray, " k"]]:
    """T and p by maximum likelihood; a softmax keeps p and the rows of T on the simplex."""
    k = consensus.num_classes
    loss = ConsensusLoss(consensus)
    diagonal = np.log(_START_DIAGONAL / ((1 - _START_DIAGONAL) / max(k - 1, 1)))
    start = np.concatenate([np.eye(k).ravel() * diagonal, np.log(loss.given_shares + 1 / k**2)])
    options = {"maxiter": _MOST_STEPS, "maxfun": 2 * _MOST_STEPS, "ftol": 1e-12, "gtol": 1e-8}
    with one_thread():
        flat = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x
    matrix, prior = softmax(flat[: k * k].reshape(k, k), axis=1), softmax(flat[k * k :])
    # The likelihood does not depend on the order of the classes; take the order that keeps most labels.
    order = linear_sum_assignment(-(prior[:, None] * matrix).T)[1]
    return matrix[order], prior[order]


class ConsensusLoss:
    """Negative log-likelihood of a consensus: mean -ln q, nats, as a function of the logits of T and p.

    Args:
        consensus: with all orders of each triple, so that the gradient of the first label stands for all
            three.
    """

    def __init__(self, consensus: Consensus) -> None:
        k, u = consensus.num_classes, len(consensus.shares)
        self.k, self.shares, self.triples = k, consensus.shares, consensus.triples.T
        self.given_shares = np.bincount(self.triples[0], weights=consensus.shares, minlength=k)
        # Sums over the triples with the same first label.
        self._by_first = csr_array((np.ones(u), (np.arange(u), self.triples[0])), shape=(u, k))

    def __call__(self, flat: Float[np.ndarray, " p"]) -> tuple[float, Float[np.ndarray, " p"]]:
        """Value and gradient."""
        k, (first, second, third) = self.k, self.triples
        matrix, prior = softmax(flat[: k * k].reshape(k, k), axis=1), softmax(flat[k * k :])
        others = matrix[:, second] * matrix[:, third]  # (y, u)
        of_class = others * matrix[:, first]
        q = np.maximum(prior @ of_class, np.finfo(np.float64).tiny)
        weights = self.shares / q
        by_prior = -of_class @ weights
        by_matrix = -3 * prior[:, None] * (self._by_first.T @ (others * weights).T).T
        rows = matrix * (by_matrix - (by_matrix * matrix).sum(1, keepdims=True))
        gradient = np.concatenate([rows.ravel(), prior * (by_prior - by_prior @ prior)])
        return float(-self.shares @ np.log(q)), gradient


def _with_self_first(found: Int[np.ndarray, "q 3"], queries: Int[np.ndarray, " q"]) -> Int[np.ndarray, "q 3"]:
    """Each example and its two neighbours; exact copies may push the example out of its own list."""
    is_self = found == queries[:, None]
    is_self[~is_self.any(1), -1] = True  # pushed out: replaces the last
    others = found[~is_self].reshape(-1, 2)
    return np.column_stack([queries, others])
