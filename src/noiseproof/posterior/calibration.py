r"""Probability that a label is wrong, from out-of-sample scores.

The model has two parameters: p = softmax(sharpness * scores) is the probability of the true label, and
with probability `contamination` $\sigma$ the given label was drawn uniformly from all k classes instead.
So the given label has probability $q = (1 - \sigma) p_y + \sigma / k$. Both parameters are estimated from the
given labels alone by maximum likelihood, and Bayes' rule gives the probability that label y is wrong,
$\frac{\sigma}{k} (1 - p_y) / q$. The share of wrong labels is $\sigma (k - 1) / k$.

The rate cannot be identified near (k - 1) / k, e.g. 0.5 with two classes, where given labels carry no
information. If errors are not uniform (people confuse similar classes), the estimated rate is too low, but
the ranking of the examples stays good; `benchmarks/RESULTS.md` shows both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.optimize
from jaxtyping import Float, Int
from scipy.special import expit

from noiseproof.posterior.row_softmax import given_log_probs, other_probs, softmax_rows

# Scores of a ridge head differ by about 1, and exp(-500) is a number still: examples that nobody doubts keep
# their order.
_MOST_SHARPNESS = 500.0


@dataclass(frozen=True, eq=False)
class Calibration:
    """Fitted probabilities of every example.

    Attributes:
        probs: probabilities of the true label; rows sum to 1.
        suspicion: probability that the given label is wrong, in [0, 1].
        noise_rate: share of wrong labels, in [0, (k - 1) / k].
        sharpness: fitted factor of the scores.
    """

    probs: Float[np.ndarray, "n k"]
    suspicion: Float[np.ndarray, " n"]
    noise_rate: float
    sharpness: float


def calibrate(scores: Float[np.ndarray, "n k"], given_labels: Int[np.ndarray, " n"]) -> Calibration:
    """Fit sharpness and contamination to the given labels.

    Two pseudo-counts, one contaminated example and one that is not, keep the estimate inside (0, 1), so the
    suspicion still ranks the examples if no label looks wrong.

    Args:
        scores: out-of-sample; larger = more probable.
        given_labels: class ids.
    """
    k = scores.shape[1]
    # Ridge scores of different classes differ by about 1, so a sharpness of 8 is a soft start.
    fit = scipy.optimize.minimize(
        negative_log_likelihood,
        x0=(np.log(8.0), -2.0),
        args=(scores, given_labels),
        jac=True,
        method="L-BFGS-B",
        bounds=((np.log(1e-3), np.log(_MOST_SHARPNESS)), (-30.0, 30.0)),
    )
    sharpness, contamination = float(np.exp(fit.x[0])), float(expit(fit.x[1]))
    log_given, _ = given_log_probs(scores, given_labels, sharpness)
    given = np.exp(log_given)
    wrong = contamination / k * other_probs(scores, given_labels, sharpness)
    likelihood = (1 - contamination) * given + contamination / k
    suspicion = np.clip(wrong / likelihood, 0.0, 1.0)
    rate = contamination * (k - 1) / k
    return Calibration(softmax_rows(scores, sharpness), suspicion, rate, sharpness)


def negative_log_likelihood(
    parameters: np.ndarray, scores: np.ndarray, given_labels: np.ndarray
) -> tuple[float, np.ndarray]:
    """Value and gradient in (ln sharpness, logit contamination)."""
    sharpness, contamination = np.exp(parameters[0]), expit(parameters[1])
    n, k = scores.shape
    log_given, lead = given_log_probs(scores, given_labels, float(sharpness))
    given = np.exp(log_given)
    likelihood = (1 - contamination) * given + contamination / k
    value = -np.log(likelihood).sum() - np.log(contamination) - np.log1p(-contamination)
    by_sharpness = -((1 - contamination) * given * lead / likelihood).sum()
    by_contamination = -((1 / k - given) / likelihood).sum() - 1 / contamination + 1 / (1 - contamination)
    gradient = np.array([by_sharpness * sharpness, by_contamination * contamination * (1 - contamination)])
    return float(value) / n, gradient / n
