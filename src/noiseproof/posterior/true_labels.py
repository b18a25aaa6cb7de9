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

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize
from jaxtyping import Float, Int
from scipy.special import softmax

from noiseproof.posterior.calibration import calibrate
from noiseproof.posterior.leave_one_out import leave_one_out
from noiseproof.posterior.symmetric_noise import symmetric_transition

_PSEUDO_SHARE = 0.1  # pseudo-counts per example
_LEAST_PSEUDO = 10.0  # pseudo-counts per class: a few examples do not determine a matrix
_START_UNIFORM = 0.1  # uniform share of the first matrix: EM never changes a zero
_ROUNDS, _STEPS = 12, 5  # fits of the sharpness, and EM steps of T in each round
# Ridge scores of different classes differ by about 1.
_LEAST_SHARPNESS, _MOST_SHARPNESS = 0.5, 100.0

Probs = Float[np.ndarray, "n k"]
Labels = Int[np.ndarray, " n"]
Matrix = Float[np.ndarray, "k k"]


def true_label_probs(features: Any, given_labels: Labels) -> Probs:
    """Probabilities of the true label of every example; rows sum to 1.

    Args:
        features: (n, d) array-like, sliced by rows; finite; n >= 2.
        given_labels: class ids in [0, k); every class occurs.
    """
    num_classes = int(given_labels.max()) + 1
    scores = leave_one_out(features, given_labels, num_classes=num_classes).scores
    return fit_transition_model(scores, given_labels).posterior


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
    scores = scores.astype(np.float64)
    n, k = scores.shape
    matrix = symmetric_transition(calibrate(scores, given_labels).noise_rate, k)
    pseudo_counts = max(_PSEUDO_SHARE * n / k, _LEAST_PSEUDO) * matrix
    matrix = (1 - _START_UNIFORM) * matrix + _START_UNIFORM / k
    for _ in range(_ROUNDS):
        sharpness = _sharpness(scores, given_labels, matrix)
        probs = softmax(sharpness * scores, axis=1)
        for _ in range(_STEPS):
            matrix = fit_transition(label_posterior(probs, given_labels, matrix), given_labels, pseudo_counts)
    return TransitionModel(probs, label_posterior(probs, given_labels, matrix), matrix, sharpness)


def log_likelihoods(
    scores: Probs, given_labels: Labels, matrix: Matrix, sharpness: float
) -> Float[np.ndarray, " n"]:
    """ln P(given | x) for a transition matrix, nats."""
    return _log_likelihoods(_below_best(scores), matrix[:, given_labels].T, sharpness)


def _below_best(scores: Probs) -> Probs:
    """Scores minus the best score of the row: the softmax is the same, and no power overflows."""
    return scores - scores.max(axis=1, keepdims=True)


def _log_likelihoods(below_best: Probs, given: Probs, sharpness: float) -> Float[np.ndarray, " n"]:
    """`log_likelihoods` with P(given | true) in rows; with `softmax` a fit takes twice as long."""
    powers = np.exp(sharpness * below_best)
    likelihood = np.einsum("nk,nk->n", powers, given) / np.einsum("nk->n", powers)
    return np.log(np.maximum(likelihood, np.finfo(float).tiny))


def label_posterior(probs: Probs, given_labels: Labels, matrix: Matrix) -> Probs:
    """P(true | x, given), from P(true | x) and the transition matrix."""
    joint = probs * matrix[:, given_labels].T
    return joint / joint.sum(1, keepdims=True)


def fit_transition(probs: Probs, given_labels: Labels, pseudo_counts: Matrix) -> Matrix:
    """The most probable transition matrix for given probabilities of the true labels (the M step).

    Args:
        probs: of the true labels.
        given_labels: class ids.
        pseudo_counts: of pairs (true, given), added to the expected counts.
    """
    counts = probs.T @ np.eye(probs.shape[1])[given_labels] + pseudo_counts
    return counts / counts.sum(1, keepdims=True)


def _sharpness(scores: Probs, given_labels: Labels, matrix: Matrix) -> float:
    """The sharpness with the highest likelihood of the given labels."""
    below_best, given = _below_best(scores), matrix[:, given_labels].T

    def cost(log_sharpness: float) -> float:
        return -float(_log_likelihoods(below_best, given, float(np.exp(log_sharpness))).mean())

    bounds = (np.log(_LEAST_SHARPNESS), np.log(_MOST_SHARPNESS))
    found = scipy.optimize.minimize_scalar(cost, bounds=bounds, method="bounded")
    return float(np.exp(found.x))
