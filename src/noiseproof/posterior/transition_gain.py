"""How much better a fitted transition matrix explains held-out labels than a symmetric one.

On the labels it was fitted to, a full matrix always fits better, with many classes by far. So both models are
fitted to one half of the examples and compared on the labels of the other half, in turn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from noiseproof.core.rng import stream
from noiseproof.posterior.calibration import calibrate
from noiseproof.posterior.symmetric_noise import symmetric_transition
from noiseproof.posterior.true_labels import fit_transition_model, log_likelihoods

# Enough for one number, and with many classes less work than the leave-one-out scores themselves.
_MOST_EXAMPLES = 6000


@dataclass(frozen=True)
class TransitionGain:
    """Gain of a fitted transition matrix over a symmetric one.

    Attributes:
        nats: gain in log-likelihood per held-out label; negative if the matrix overfits.
        standard_error: of `nats`.
        noise_rate: share of wrong labels by the fitted matrix.
    """

    nats: float
    standard_error: float
    noise_rate: float


def compared_examples(num_examples: int) -> int:
    """Number of examples that `transition_gain` uses."""
    return min(num_examples, _MOST_EXAMPLES)


def transition_gain(scores: Float[np.ndarray, "n k"], given_labels: Int[np.ndarray, " n"]) -> TransitionGain:
    """Gain in log-likelihood of held-out labels by a fitted transition matrix.

    Args:
        scores: out-of-sample; larger = more probable.
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
    """Gain of each example of `test`, and the noise rate of the fit."""
    uniform = calibrate(scores[fit], given_labels[fit])
    model = fit_transition_model(scores[fit], given_labels[fit])
    held_out = scores[test].astype(np.float64), given_labels[test]
    matrix = symmetric_transition(uniform.noise_rate, scores.shape[1])
    gains = log_likelihoods(*held_out, model.matrix, model.sharpness) - log_likelihoods(
        *held_out, matrix, uniform.sharpness
    )
    is_right = np.take_along_axis(model.posterior, given_labels[fit][:, None], 1)
    return gains, float(1 - is_right.mean())
