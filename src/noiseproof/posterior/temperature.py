r"""Calibrated probabilities of a fitted classifier, from held-out examples whose labels may be wrong.

Temperature scaling: p = softmax(sharpness * ln p_head), sharpness = 1 / T, which changes no prediction. On
labels as given it would learn to doubt right predictions wherever a label is wrong, so the given label has
probability $q = (1 - \sigma) p_y + \sigma / k$, as in `calibration.py`, and $\sigma$ is estimated together
with the sharpness. Few held-out examples, all predicted well, would fit an endless sharpness: ln(sharpness)
has a standard normal prior, so that without examples the probabilities of the head stay as they are.

Source: Guo, Pleiss, Sun & Weinberger 2017, arXiv:1706.04599, Eq. 9. Differs: labels may be wrong, and the
prior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.optimize
from jaxtyping import Float, Int
from scipy.special import expit

from noiseproof.posterior.calibration import negative_log_likelihood
from noiseproof.posterior.row_softmax import softmax_rows

_LEAST, _MOST = np.log(1e-2), np.log(1e2)  # of ln(sharpness), where the prior leaves next to nothing


@dataclass(frozen=True)
class Temperature:
    """A fitted calibration.

    Attributes:
        sharpness: 1 / T, factor of the logarithms of probabilities.
        noise_rate: share of the held-out labels that look wrong, in [0, (k - 1) / k].
        num_examples: held-out examples that it was fitted to.
    """

    sharpness: float
    noise_rate: float
    num_examples: int


def fit_temperature(probs: Float[np.ndarray, "n k"], given_labels: Int[np.ndarray, " n"]) -> Temperature:
    """Fit sharpness and contamination to held-out examples by their largest posterior probability.

    Args:
        probs: of the classifier, which did not learn from these examples.
        given_labels: class ids in [0, k); may be wrong.
    """
    scores, (n, k) = log_probs(probs), probs.shape

    def objective(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = negative_log_likelihood(parameters, scores, given_labels)
        prior = np.array([parameters[0], 0.0])
        return value + 0.5 * float(parameters[0]) ** 2 / n, gradient + prior / n

    fit = scipy.optimize.minimize(
        objective, x0=(0.0, -2.0), jac=True, method="L-BFGS-B", bounds=((_LEAST, _MOST), (-30.0, 30.0))
    )
    rate = float(expit(fit.x[1])) * (k - 1) / k
    return Temperature(float(np.exp(fit.x[0])), rate, n)


def calibrated(probs: Float[np.ndarray, "n k"], sharpness: float) -> Float[np.ndarray, "n k"]:
    """Calibrated probabilities; the order of the classes stays."""
    return softmax_rows(log_probs(probs), sharpness)


def log_probs(probs: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Logarithms, finite also where a probability is 0."""
    return np.log(np.maximum(probs.astype(np.float64), np.finfo(np.float64).tiny))
