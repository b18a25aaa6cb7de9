r"""Probabilities of the true labels, with a transition matrix fitted by expectation maximisation.

Notation: p (n, k) probabilities of the true label given the features, y (n,) given labels, T (k, k)
transition matrix, $T_{ij}$ = P(given = j | true = i).

The model: p = softmax(sharpness * scores) with leave-one-out scores, as in `posterior.calibration`, and a
true label i is given as j with probability $T_{ij}$. So P(true = i | x, y) is proportional to $p_i T_{iy}$.
T and sharpness follow from the given labels by expectation maximisation.

A ridge head also confuses classes, which the likelihood cannot distinguish from wrong labels: without a
prior, T would attribute the head's errors to the labels, and correct labels would look wrong. So T is
regularised by pseudo-counts, a tenth of the number of examples, of symmetric noise at the rate that
`calibrate` finds.

Source: Dempster, Laird & Rubin 1977 (EM, also with a prior); Dawid & Skene 1979, Eqs. 2.3-2.5 (error rates of
an annotator, by EM). p from features and the pseudo-counts are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize
from jaxtyping import Float, Int

from noiseproof.posterior.by_label import expected_counts, label_blocks
from noiseproof.posterior.calibration import calibrate
from noiseproof.posterior.copies import find_copies
from noiseproof.posterior.leave_one_out import leave_one_out
from noiseproof.posterior.row_softmax import softmax_rows
from noiseproof.posterior.symmetric_noise import symmetric_transition

_PSEUDO_SHARE = 0.1  # pseudo-counts per example
_LEAST_PSEUDO = 10.0  # pseudo-counts per class: a few examples do not determine a matrix
_START_UNIFORM = 0.1  # uniform share of the first matrix: EM never changes a zero
_MOST_AT_START = 4000  # examples for the first sharpness, which all examples improve
_ROUNDS, _STEPS = 12, 5  # fits of the sharpness, and EM steps of T in each round
# Ridge scores of different classes differ by about 1.
_BOUNDS = (np.log(0.5), np.log(100.0))  # of the logarithm of the sharpness

Probs = Float[np.ndarray, "n k"]
Labels = Int[np.ndarray, " n"]
Matrix = Float[np.ndarray, "k k"]


def true_label_probs(features: Any, given_labels: Labels) -> Probs:
    """Probabilities of the true label of every example, judged without its copies; rows sum to 1.

    Args:
        features: (n, d) array-like, sliced by rows; finite; n >= 2.
        given_labels: class ids in [0, k); every class occurs.
    """
    return fit_transition_model(scores_without_copies(features, given_labels), given_labels).posterior


def scores_without_copies(features: Any, given_labels: Labels) -> Probs:
    """Leave-one-out scores of every example by a head that saw none of its copies; arguments as above."""
    copies = find_copies(features).to_leave_out(given_labels)
    return leave_one_out(
        features, given_labels,
        num_classes=int(given_labels.max()) + 1, groups=copies.groups if copies.has_copy.any() else None,
    ).scores  # fmt: skip


def remembering_true_label_probs() -> Callable[[Any, Labels], Probs]:
    """A `true_label_probs` that computes its first answer and repeats it, for heads on the same examples."""
    answers: list[Probs] = []

    def find(features: Any, given_labels: Labels) -> Probs:
        if not answers:
            answers.append(true_label_probs(features, given_labels))
        return answers[0]

    return find


@dataclass(frozen=True, eq=False)
class TransitionModel:
    """A fitted transition matrix, and probabilities of the true labels.

    Attributes:
        probs: P(true | x); rows sum to 1.
        posterior: P(true | x, given); rows sum to 1.
        matrix: transition matrix, T.
        sharpness: fitted factor of the scores.
    """

    probs: Probs
    posterior: Probs
    matrix: Matrix
    sharpness: float


def fit_transition_model(scores: Probs, given_labels: Labels) -> TransitionModel:
    """Fit sharpness and transition matrix by expectation maximisation.

    Args:
        scores: out-of-sample; larger = more probable.
        given_labels: class ids.
    """
    n, k = scores.shape
    rate = calibrate(scores, given_labels).noise_rate
    pseudo_counts = symmetric_pseudo_counts(rate, n, k)
    matrix = (1 - _START_UNIFORM) * symmetric_transition(rate, k) + _START_UNIFORM / k
    order = np.argsort(given_labels, kind="stable")
    below_best, labels = _below_best(scores[order]), given_labels[order]
    few = slice(None, None, 1 + n // _MOST_AT_START)
    sharpness = _first_sharpness(below_best[few], labels[few], matrix)
    for _ in range(_ROUNDS):
        sharpness = _better_sharpness(below_best, labels, matrix, sharpness)
        probs = softmax_rows(below_best, sharpness)
        for _ in range(_STEPS):
            matrix = next_transition(probs, labels, matrix, pseudo_counts)
    probs[order] = probs.copy()
    return TransitionModel(probs, label_posterior(probs, given_labels, matrix), matrix, sharpness)


def log_likelihoods(
    scores: Probs, given_labels: Labels, matrix: Matrix, sharpness: float
) -> Float[np.ndarray, " n"]:
    """ln P(given | x) for a transition matrix, nats."""
    return _log_likelihoods(_below_best(scores), given_labels, matrix, sharpness)[0]


def _below_best(scores: Probs) -> Probs:
    """Scores minus the best score of the row: the softmax is the same, and no power overflows."""
    return scores - scores.max(axis=1, keepdims=True)


def _log_likelihoods(
    below_best: Probs, given_labels: Labels, matrix: Matrix, sharpness: float
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """`log_likelihoods` of scores below the best, and the derivatives with respect to the sharpness."""
    logs, derivatives = np.empty(len(below_best)), np.empty(len(below_best))
    tiny = np.finfo(below_best.dtype).tiny
    # Two weights of every class: its share of the given label, and 1 for the sum of all powers.
    weights = np.ones((len(matrix), 2, len(matrix)), below_best.dtype)
    weights[:, 0] = matrix.T
    for label, rows, block in label_blocks(below_best, given_labels):
        powers = np.exp(block.dtype.type(sharpness) * block)
        likelihood, total = np.maximum(weights[label] @ powers.T, tiny).astype(np.float64)
        powers *= block
        slopes, total_slopes = weights[label] @ powers.T
        logs[rows] = np.log(likelihood / total)
        derivatives[rows] = slopes / likelihood - total_slopes / total
    return logs, derivatives


def label_posterior(probs: Probs, given_labels: Labels, matrix: Matrix) -> Probs:
    """P(true | x, given), from P(true | x) and the transition matrix."""
    posterior = np.ascontiguousarray(matrix.T, dtype=probs.dtype)[given_labels]
    posterior *= probs
    posterior /= posterior.sum(1, keepdims=True)
    return posterior


def fit_transition(posterior: Probs, given_labels: Labels, pseudo_counts: Matrix) -> Matrix:
    """The most probable transition matrix for given probabilities of the true labels (the M step).

    Args:
        posterior: P(true | x, given).
        given_labels: class ids.
        pseudo_counts: of pairs (true, given), added to the expected counts.
    """
    by_given = np.zeros(pseudo_counts.shape)
    for label, _, block in label_blocks(posterior, given_labels):
        by_given[label] += block.sum(axis=0)
    counts = by_given.T + pseudo_counts
    return counts / counts.sum(1, keepdims=True)


def next_transition(probs: Probs, given_labels: Labels, matrix: Matrix, pseudo_counts: Matrix) -> Matrix:
    """One step of expectation maximisation for the transition matrix.

    Args:
        probs: P(true | x).
        given_labels: class ids.
        matrix: of the step before.
        pseudo_counts: of pairs (true, given), added to the expected counts.
    """
    columns = np.ascontiguousarray(matrix.T, dtype=probs.dtype)
    counts = expected_counts(probs, given_labels, columns.__getitem__) + pseudo_counts
    return counts / counts.sum(1, keepdims=True)


def symmetric_pseudo_counts(rate: float, num_examples: int, num_classes: int) -> Matrix:
    """Pseudo-counts of pairs (true, given) under symmetric noise."""
    per_class = max(_PSEUDO_SHARE * num_examples / num_classes, _LEAST_PSEUDO)
    return per_class * symmetric_transition(rate, num_classes)


def _first_sharpness(below_best: Probs, given_labels: Labels, matrix: Matrix) -> float:
    """The sharpness with the highest likelihood of the given labels, anywhere in the allowed range."""

    def cost(log_sharpness: float) -> float:
        sharpness = float(np.exp(log_sharpness))
        return -float(_log_likelihoods(below_best, given_labels, matrix, sharpness)[0].mean())

    return float(np.exp(scipy.optimize.minimize_scalar(cost, bounds=_BOUNDS, method="bounded").x))


def _better_sharpness(below_best: Probs, given_labels: Labels, matrix: Matrix, start: float) -> float:
    """The sharpness with the highest likelihood near that of another matrix: a few steps."""

    def cost(log_sharpness: np.ndarray) -> tuple[float, np.ndarray]:
        sharpness = float(np.exp(log_sharpness[0]))
        logs, derivatives = _log_likelihoods(below_best, given_labels, matrix, sharpness)
        return -float(logs.mean()), -sharpness * np.array([derivatives.mean()])

    found = scipy.optimize.minimize(
        cost, x0=[np.log(start)], jac=True, method="L-BFGS-B", bounds=[_BOUNDS],
        options={"ftol": 0.01 * np.finfo(below_best.dtype).eps, "gtol": 1e-9},
    )  # fmt: skip
    return float(np.exp(found.x[0]))
