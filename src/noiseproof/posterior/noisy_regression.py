r"""Probabilities of the true labels by a logistic regression that knows that labels may be wrong.

Notation: s (n, k) leave-one-out scores; x (n, k - 1) the same, whitened within classes; p = softmax(x W + b)
probabilities of the true label; T transition matrix, $T_{ij}$ = P(given = j | true = i); y given labels.

The given label has probability $\sum_i p_i T_{iy}$. W and b maximise this likelihood less a penalty, by turns
with expectation maximisation of T, which has the same pseudo-counts as in `posterior.true_labels`.

Where two classes overlap, given labels alone hardly say whether the head is unsure or labels are wrong. The
density of the scores is better evidence: linear discriminant analysis (LDA) of the classes that the scores
prefer sees separate clouds or overlapping ones. But it is too sure of them: it cannot see that an example is
in the wrong cloud. Its logits times the factor `temper` that explains given labels best are not sure enough
where people err, since people confuse examples that also confuse the head. The penalty draws W to LDA times
the square root of the temper, the geometric mean of the two readings.

Source: Bootkrajang & Kaban 2012, ECML PKDD (logistic regression with a transition matrix, by EM); Hastie,
Tibshirani & Friedman 2009, Eq. 4.10 (LDA); Hastie, Tibshirani & Buja 1994, JASA 89 (LDA of the scores of a
linear regression is LDA of its inputs). The start and the penalty are ours; `benchmarks/RESULTS.md` shows on
which sets their weight was chosen, and on which it was tested.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.optimize
from jaxtyping import Float, Int
from scipy.special import softmax

from noiseproof.core.rng import stream
from noiseproof.core.threads import one_thread
from noiseproof.posterior.true_labels import fit_transition, label_posterior, symmetric_pseudo_counts

# Half of this times the squared distance of W from its centre is subtracted from the mean log-likelihood, in
# nats. At 0.003 labels of people are found too rarely, at 0.01 head errors are taken for wrong labels.
_PENALTY, _LEAST_TOTAL_PENALTY = 0.005, 5.0
_ROUNDS, _ASCENTS, _STEPS = 6, 10, 5  # rounds; in each, ascents of W and b, then EM steps of T
_LEAST_TEMPER, _MOST_TEMPER = 0.05, 2.7
_LEAST_PER_CLASS = 50  # examples; with fewer, LDA takes head errors for separate clouds
_LEAST_SHARE, _STANDARD_ERRORS = 0.25, 5.0  # examples that prefer a class, per given label; of its lift
_MOST_CLASSES = 100
_MOST_WORK = 60_000_000  # examples x classes^2 of the fit: about 3 s on one core
_RIDGE = 1e-6  # of the covariance, in units of its mean diagonal

Probs = Float[np.ndarray, "n k"]
Labels = Int[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class NoisyRegression:
    """A fitted regression and transition matrix.

    Attributes:
        probs: P(true | x); rows sum to 1.
        posterior: P(true | x, given); rows sum to 1.
        matrix: transition matrix, T.
    """

    probs: Probs
    posterior: Probs
    matrix: Float[np.ndarray, "k k"]


def can_fit(scores: Probs, given_labels: Labels) -> bool:
    """Whether there are enough examples of each class, few enough classes, and scores that tell them apart.

    LDA finds clouds wherever the scores prefer one class to another, in noise too. So each class has to be
    preferred clearly more often where it is the given label than elsewhere.
    """
    n, k = scores.shape
    counts = np.bincount(given_labels, minlength=k)
    if k > _MOST_CLASSES or counts.min() < _LEAST_PER_CLASS:
        return False
    preferred = scores.argmax(axis=1)
    shares = np.bincount(preferred, minlength=k) / n
    hits = np.bincount(given_labels, weights=preferred == given_labels, minlength=k) / counts
    chance = _STANDARD_ERRORS * np.sqrt(shares * (1 - shares) / counts)
    return bool((hits - shares > chance).all())


def prefers_each_class(scores: Probs, given_labels: Labels) -> bool:
    """Whether each class is preferred for a fair share of its number of labels.

    Where one is not, either its labels are mostly wrong or it is rare and scores hardly know it; then LDA
    takes right labels of this class for wrong ones.
    """
    k = scores.shape[1]
    preferred = np.bincount(scores.argmax(axis=1), minlength=k)
    return bool((preferred >= _LEAST_SHARE * np.bincount(given_labels, minlength=k)).all())


def fit_noisy_regression(scores: Probs, given_labels: Labels) -> NoisyRegression:
    """Fit the regression and the transition matrix.

    Args:
        scores: out-of-sample; rows sum to the same number, as those of `posterior.leave_one_out` do.
        given_labels: class ids.
    """
    space = discriminants(scores, scores.argmax(1))
    weights, bias, matrix = _fit(space, given_labels, _rows_of_fit(*scores.shape))
    probs = softmax(space.inputs @ weights + bias, axis=1)
    matrix = _em(probs, given_labels, matrix)
    return NoisyRegression(probs, label_posterior(probs, given_labels, matrix), matrix)


def _rows_of_fit(num_examples: int, num_classes: int) -> Int[np.ndarray, " m"]:
    """Rows that W and b are fitted to: all, or as many random ones as the time allows."""
    most = max(_MOST_WORK // num_classes**2, _LEAST_PER_CLASS * num_classes)
    order = stream(0, "noisy regression").permutation(num_examples)[:most]
    return np.sort(order)


def _fit(
    space: Discriminants, given_labels: Labels, rows: Int[np.ndarray, " m"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """W, b and T, fitted to some of the rows."""
    inputs, labels, weights, bias = space.inputs[rows], given_labels[rows], space.weights, space.bias
    matrix = _transition_step(np.eye(len(bias))[space.classes[rows]], labels)
    logits = inputs @ weights + bias
    for _ in range(_ROUNDS):
        temper = _best_temper(logits, labels, matrix)
        matrix = _em(softmax(temper * logits, axis=1), labels, matrix)
    weights, bias = np.sqrt(temper) * weights, np.sqrt(temper) * bias
    loss = RegressionLoss(inputs, weights)
    with one_thread():
        for _ in range(_ROUNDS):
            weights, bias = _ascend(loss, weights, bias, matrix[:, labels].T)
            matrix = _em(softmax(inputs @ weights + bias, axis=1), labels, matrix)
    return weights, bias, matrix


@dataclass(frozen=True, eq=False)
class Discriminants:
    """Linear discriminant analysis: logits = inputs @ weights + bias.

    Attributes:
        inputs: x, with the identity as covariance within classes.
        weights: column c is the mean of class c.
        bias: ln(share of class c) less half the squared length of its mean.
        classes: class ids that it was made of.
    """

    inputs: Float[np.ndarray, "n d"]
    weights: Float[np.ndarray, "d k"]
    bias: Float[np.ndarray, " k"]
    classes: Labels


def discriminants(scores: Probs, classes: Labels) -> Discriminants:
    """Linear discriminants of the scores; each class counts one more example, at the mean of all.

    Args:
        scores: the last column is left out, since it follows from the others.
        classes: class ids; some may not occur.
    """
    x = scores[:, :-1].astype(np.float64)
    x -= x.mean(axis=0)
    n, k = scores.shape
    counts = np.bincount(classes, minlength=k) + 1.0
    means = np.eye(k)[classes].T @ x / counts[:, None]
    within = (x.T @ x - (means.T * counts) @ means) / n
    within[np.diag_indices_from(within)] += _RIDGE * (np.trace(within) / (k - 1)) or 1.0
    lower = scipy.linalg.cholesky(within, lower=True)
    x, means = (scipy.linalg.solve_triangular(lower, rows.T, lower=True).T for rows in (x, means))
    bias = np.log(counts / counts.sum()) - np.square(means).sum(axis=1) / 2
    return Discriminants(x, means.T, bias, classes)


class RegressionLoss:
    """Negative log-likelihood of given labels plus the penalty, as a function of W and b.

    Args:
        inputs: x.
        centre: of W.
    """

    def __init__(self, inputs: Float[np.ndarray, "n d"], centre: Float[np.ndarray, "d k"]) -> None:
        self.inputs, self.centre = inputs, centre
        self.penalty = max(_PENALTY, _LEAST_TOTAL_PENALTY / len(inputs))

    def __call__(self, flat: Float[np.ndarray, " p"], given: Probs) -> tuple[float, Float[np.ndarray, " p"]]:
        """Value and gradient.

        Args:
            flat: W, then b.
            given: P(given label | true class) for each example and class.
        """
        n, k = given.shape
        weights, bias = flat[:-k].reshape(-1, k), flat[-k:]
        logits = self.inputs @ weights + bias
        logits -= logits.max(axis=1, keepdims=True)
        probs = np.exp(logits, out=logits)
        probs /= probs.sum(axis=1, keepdims=True)
        likelihood = np.maximum(np.einsum("nk,nk->n", probs, given), np.finfo(float).tiny)
        by_logits = probs * (1 - given / likelihood[:, None]) / n
        shift = weights - self.centre
        value = -np.log(likelihood).mean() + self.penalty / 2 * np.square(shift).sum()
        by_weights = self.inputs.T @ by_logits + self.penalty * shift
        return float(value), np.concatenate([by_weights.ravel(), by_logits.sum(axis=0)])


def _ascend(
    loss: RegressionLoss, weights: np.ndarray, bias: np.ndarray, given: Probs
) -> tuple[np.ndarray, np.ndarray]:
    start = np.concatenate([weights.ravel(), bias])
    options = {"maxiter": _ASCENTS}
    flat = scipy.optimize.minimize(loss, start, args=(given,), jac=True, method="L-BFGS-B", options=options).x
    return flat[: weights.size].reshape(weights.shape), flat[weights.size :]


def _best_temper(logits: Probs, given_labels: Labels, matrix: np.ndarray) -> float:
    """The factor of the logits with the highest likelihood of given labels."""
    below_best, given = logits - logits.max(axis=1, keepdims=True), matrix[:, given_labels].T

    def cost(log_temper: float) -> float:
        powers = np.exp(np.exp(log_temper) * below_best)
        likelihood = np.einsum("nk,nk->n", powers, given) / powers.sum(axis=1)
        return -float(np.log(np.maximum(likelihood, np.finfo(float).tiny)).mean())

    bounds = (np.log(_LEAST_TEMPER), np.log(_MOST_TEMPER))
    return float(np.exp(scipy.optimize.minimize_scalar(cost, bounds=bounds, method="bounded").x))


def _em(probs: Probs, given_labels: Labels, matrix: np.ndarray) -> np.ndarray:
    for _ in range(_STEPS):
        matrix = _transition_step(label_posterior(probs, given_labels, matrix), given_labels)
    return matrix


def _transition_step(posterior: Probs, given_labels: Labels) -> np.ndarray:
    """T, with pseudo-counts of symmetric noise at the rate of the posterior.

    One wrong label and one that is not, added to the rate, keep it inside (0, 1).
    """
    n, k = posterior.shape
    num_wrong = n - float(np.take_along_axis(posterior, given_labels[:, None], 1).sum())
    rate = (num_wrong + 1) / (n + 2)
    return fit_transition(posterior, given_labels, symmetric_pseudo_counts(rate, n, k))
