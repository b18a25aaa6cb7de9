"""How much better labels are explained where some classes may be taken for others more than for the rest.

A matrix of its own always fits the labels that it was fitted to better, and with many classes by far. So both
models are fitted to one half of the examples and judged by the labels of the other half, in turn.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from noiseproof.posterior.calibration import calibrate
from noiseproof.posterior.true_labels import alike, fit_channel, log_likelihood
from noiseproof.rng import stream

_MOST_EXAMPLES = (
    6000  # enough for one number; fitting 100 classes takes longer than their leave-one-out scores
)


def transition_gain(scores: Float[np.ndarray, "n k"], given_labels: Int[np.ndarray, " n"]) -> float:
    """Mean nats per held-out label; below zero where a matrix only learns by heart.

    Args:
        scores: out-of-sample; larger = more likely.
        given_labels: class ids.
    """
    order = stream(0, "transition gain").permutation(len(given_labels))[:_MOST_EXAMPLES]
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    gains = [_gain(scores, given_labels, fit=one, test=other) for one, other in (halves, halves[::-1])]
    return sum(gains) / 2


def _gain(scores: np.ndarray, given_labels: np.ndarray, *, fit: np.ndarray, test: np.ndarray) -> float:
    uniform = calibrate(scores[fit], given_labels[fit])
    channel = fit_channel(scores[fit], given_labels[fit])
    held_out = scores[test].astype(np.float64), given_labels[test]
    matrix = alike(uniform.noise_rate, scores.shape[1])
    return log_likelihood(*held_out, channel.matrix, channel.sharpness) - log_likelihood(
        *held_out, matrix, uniform.sharpness
    )
