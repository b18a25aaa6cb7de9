"""How much better labels are explained where some classes may be taken for others more than for the rest.

A matrix of its own always fits the labels that it was fitted to better, and with many classes by far. So both
models are fitted to one half of the examples and judged by the labels of the other half, in turn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from noiseproof.core.rng import stream
from noiseproof.core.transition import symmetric_transition
from noiseproof.posterior.calibration import calibrate
from noiseproof.posterior.true_labels import fit_transition_model, log_likelihoods

# Enough for one number, and less work than the leave-one-out scores themselves where classes are many.
_MOST_EXAMPLES = 6000


@dataclass(frozen=True)
class TransitionGain:
    """What a matrix of its own gains.

    Attributes:
        nats: per held-out label; below zero where a matrix only learns by heart.
        standard_error: of it.
        noise_rate: share of labels that are wrong as the matrix has it.
    """

    nats: float
    standard_error: float
    noise_rate: float


def transition_gain(scores: Float[np.ndarray, "n k"], given_labels: Int[np.ndarray, " n"]) -> TransitionGain:
    """How much better a matrix of its own explains labels that it was not fitted to.

    Args:
        scores: out-of-sample; larger = more likely.
        given_labels: class ids.
    """
    order = stream(0, "transition gain").permutation(len(given_labels))[:_MOST_EXAMPLES]
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    found = [_gains(scores, given_labels, fit=one, test=other) for one, other in (halves, halves[::-1])]
    gains = np.concatenate([own for own, _ in found])
    error = float(gains.std() / np.sqrt(len(gains)))
    return TransitionGain(float(gains.mean()), error, float(np.mean([rate for _, rate in found])))


def _gains(
    scores: np.ndarray, given_labels: np.ndarray, *, fit: np.ndarray, test: np.ndarray
) -> tuple[np.ndarray, float]:
    """Of each example of `test`, and the rate of the fit."""
    uniform = calibrate(scores[fit], given_labels[fit])
    channel = fit_transition_model(scores[fit], given_labels[fit])
    held_out = scores[test].astype(np.float64), given_labels[test]
    matrix = symmetric_transition(uniform.noise_rate, scores.shape[1])
    gains = log_likelihoods(*held_out, channel.matrix, channel.sharpness) - log_likelihoods(
        *held_out, matrix, uniform.sharpness
    )
    is_right = np.take_along_axis(channel.posterior, given_labels[fit][:, None], 1)
    return gains, float(1 - is_right.mean())
