r"""The transition matrix from labels of neighbours alone: no classifier, no anchor points.

Where an example and its two nearest neighbours are of one class, their three given labels are independent
draws from one row of T. With p the share of each class, labels i, j, l then come together with probability
$q_{ijl} = \sum_y p_y T_{yi} T_{yj} T_{yl}$, and p and T are those under which the triples seen are likeliest.
Sums of q over one and two of its labels are the consensuses of second and first order: they are in it.

Features whose neighbours are often of another class make the noise look larger than it is.

Source: Zhu, Song & Liu 2021, arXiv:2102.05291, Section 3.1 (consensuses) and 4.1 (clusterability).
Differs: by maximum likelihood; the paper takes least squares of the three orders, by Adam. With the same
triples that was slower and up to six times further from the truth (pair noise, 10 classes).
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

_START = 0.6  # on the diagonal of T: classes keep their names
_MOST_STEPS = 500


@dataclass(frozen=True, eq=False)
class Consensus:
    """Given labels of examples and their two nearest neighbours, counted.

    Attributes:
        triples: different ones, in every order of the three.
        shares: of each, sum to 1.
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
    """Count the labels of examples and their two nearest neighbours by cosine.

    Args:
        features: of any frozen encoder; rows of zeros have no direction and are neighbours of nobody near.
        given_labels: class ids in [0, k).
        num_classes: k.
        max_examples: at most this many random examples are asked for their neighbours, among all.
        rng: draws them.
    """
    n = len(given_labels)
    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.where(length > 0, length, 1)
    asked = np.sort(rng.choice(n, max_examples, replace=False)) if n > max_examples else np.arange(n)
    found = NearestNeighbors(n_neighbors=3, algorithm="brute").fit(unit).kneighbors(unit[asked])[1]
    triples = given_labels[_with_self_first(found, asked)]
    ordered = np.concatenate([triples[:, list(order)] for order in itertools.permutations(range(3))])
    different, counts = np.unique(ordered, axis=0, return_counts=True)
    return Consensus(different, counts / counts.sum(), num_classes)


def solve_consensus(
    consensus: Consensus,
) -> tuple[Float[np.ndarray, "k k"], Float[np.ndarray, " k"]]:
    """T and p under which the consensus is likeliest; rows and p are kept on the simplex by a softmax."""
    k = consensus.num_classes
    surprise = ConsensusLoss(consensus)
    diagonal = np.log(_START / ((1 - _START) / max(k - 1, 1)))
    start = np.concatenate([np.eye(k).ravel() * diagonal, np.log(surprise.given_shares + 1 / k**2)])
    options = {"maxiter": _MOST_STEPS, "maxfun": 2 * _MOST_STEPS, "ftol": 1e-12, "gtol": 1e-8}
    with one_thread():
        flat = minimize(surprise, start, jac=True, method="L-BFGS-B", options=options).x
    matrix, prior = softmax(flat[: k * k].reshape(k, k), axis=1), softmax(flat[k * k :])
    # What the fit calls its classes is free; the names that keep most labels are those we know.
    order = linear_sum_assignment(-(prior[:, None] * matrix).T)[1]
    return matrix[order], prior[order]


class ConsensusLoss:
    """Mean -ln q of a consensus, nats, as a function of the logits of T, row by row, and of p.

    Args:
        consensus: with each triple in every order, so that the first label stands for all three.
    """

    def __init__(self, consensus: Consensus) -> None:
        k, u = consensus.num_classes, len(consensus.shares)
        self.k, self.shares, self.triples = k, consensus.shares, consensus.triples.T
        self.given_shares = np.bincount(self.triples[0], weights=consensus.shares, minlength=k)
        # Adds up what belongs to one first label.
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


def _with_self_first(found: Int[np.ndarray, "q 3"], asked: Int[np.ndarray, " q"]) -> Int[np.ndarray, "q 3"]:
    """Each example and two others, also where copies of it are nearer to it than itself."""
    is_self = found == asked[:, None]
    is_self[~is_self.any(1), -1] = True  # crowded out: takes the place of the last
    others = found[~is_self].reshape(-1, 2)
    return np.column_stack([asked, others])
