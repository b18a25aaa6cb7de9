r"""What the true labels probably are, where some classes are taken for others more than for the rest.

Notation: p (n, k) probabilities of the true label by the features, y (n,) given labels, T (k, k) transition
matrix, $T_{ij}$ = P(given = j | true = i).

The model: p = softmax(sharpness * scores) with leave-one-out scores, as in `posterior.calibration`, and a
true label i is given as j with probability $T_{ij}$. So P(true = i | x, y) is proportional to $p_i T_{iy}$.
T and sharpness follow from the given labels by expectation maximisation.

A ridge head, too, takes some classes for others, which the likelihood cannot tell from labels that went
wrong: without more, T blames the labels for it, and right labels lose. So T also counts imagined examples, a
tenth as many as there are, whose labels went wrong alike in all classes, at the rate that `calibrate` finds.

Source: Dempster, Laird & Rubin 1977 (EM, also with a prior); Dawid & Skene 1979, Eqs. 2.3-2.5 (how often one
who labels gives which class for which, by EM). p from features and the imagined examples are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize
from jaxtyping import Float, Int
from scipy.special import softmax

from noiseproof.core.transition import symmetric_transition
from noiseproof.posterior.calibration import calibrate
from noiseproof.posterior.leave_one_out import leave_one_out

_IMAGINED = 0.1  # imagined examples per real one
_LEAST_IMAGINED = 10.0  # per class: of a few examples no matrix can be told
_UNIFORM_AT_FIRST = 0.1  # EM never leaves a zero
_ROUNDS, _STEPS = 12, 5  # of sharpness, and of T in each
# Scores of a ridge head differ by about 1 between classes.
_LEAST_SHARPNESS, _MOST_SHARPNESS = 0.5, 100.0

Probs = Float[np.ndarray, "n k"]
Labels = Int[np.ndarray, " n"]
Matrix = Float[np.ndarray, "k k"]


def true_label_probs(features: Any, given_labels: Labels) -> Probs:
    """Probabilities of the true label of every example; rows sum to 1.

    Args:
        features: (n, d) array-like, sliced by rows; finite; n >= 2.
        given_labels: class ids in [0, k), each of which occurs.
    """
    num_classes = int(given_labels.max()) + 1
    scores = leave_one_out(features, given_labels, num_classes=num_classes).scores
    return fit_transition_model(scores, given_labels).posterior


@dataclass(frozen=True, eq=False)
class TransitionModel:
    """How true labels become given ones, and what the true ones then probably are.

    Attributes:
        probs: P(true | x), rows sum to 1.
        posterior: P(true | x, given), likewise.
        matrix: transition matrix, T.
        sharpness: of the scores.
    """

    probs: Probs
    posterior: Probs
    matrix: Matrix
    sharpness: float


def fit_transition_model(scores: Probs, given_labels: Labels) -> TransitionModel:
    """Sharpness and transition matrix by expectation maximisation.

    Args:
        scores: out-of-sample; larger = more likely.
        given_labels: class ids.
    """
    scores = scores.astype(np.float64)
    n, k = scores.shape
    matrix = symmetric_transition(calibrate(scores, given_labels).noise_rate, k)
    imagined = max(_IMAGINED * n / k, _LEAST_IMAGINED) * matrix
    matrix = (1 - _UNIFORM_AT_FIRST) * matrix + _UNIFORM_AT_FIRST / k
    for _ in range(_ROUNDS):
        sharpness = _sharpness(scores, given_labels, matrix)
        probs = softmax(sharpness * scores, axis=1)
        for _ in range(_STEPS):
            matrix = fit_transition(label_posterior(probs, given_labels, matrix), given_labels, imagined)
    return TransitionModel(probs, label_posterior(probs, given_labels, matrix), matrix, sharpness)


def log_likelihoods(
    scores: Probs, given_labels: Labels, matrix: Matrix, sharpness: float
) -> Float[np.ndarray, " n"]:
    """ln P(given | x) under a transition matrix, nats."""
    return _log_likelihoods(_behind(scores), matrix[:, given_labels].T, sharpness)


def _behind(scores: Probs) -> Probs:
    """How far each class is behind the first: a softmax is the same, and no power of it overflows."""
    return scores - scores.max(axis=1, keepdims=True)


def _log_likelihoods(behind: Probs, given: Probs, sharpness: float) -> Float[np.ndarray, " n"]:
    """The same, with P(given | true) of each example in its row; by `softmax` a fit takes twice as long."""
    powers = np.exp(sharpness * behind)
    likelihood = np.einsum("nk,nk->n", powers, given) / np.einsum("nk->n", powers)
    return np.log(np.maximum(likelihood, np.finfo(float).tiny))


def label_posterior(probs: Probs, given_labels: Labels, matrix: Matrix) -> Probs:
    """P(true | x, given), from P(true | x) and the transition matrix."""
    joint = probs * matrix[:, given_labels].T
    return joint / joint.sum(1, keepdims=True)


def fit_transition(probs: Probs, given_labels: Labels, imagined: Matrix) -> Matrix:
    """The most likely transition matrix, were the true labels known to be these.

    Args:
        probs: of the true labels.
        given_labels: class ids.
        imagined: examples (true, given) that count beside them.
    """
    counts = probs.T @ np.eye(probs.shape[1])[given_labels] + imagined
    return counts / counts.sum(1, keepdims=True)


def _sharpness(scores: Probs, given_labels: Labels, matrix: Matrix) -> float:
    """That under which the given labels are likeliest."""
    behind, given = _behind(scores), matrix[:, given_labels].T

    def cost(log_sharpness: float) -> float:
        return -float(_log_likelihoods(behind, given, float(np.exp(log_sharpness))).mean())

    bounds = (np.log(_LEAST_SHARPNESS), np.log(_MOST_SHARPNESS))
    found = scipy.optimize.minimize_scalar(cost, bounds=bounds, method="bounded")
    return float(np.exp(found.x))
