r"""How many labels are wrong, by the suspicion of all and the truth of a few that people checked.

Two estimates, which differ in what they take for granted:

- From a sample that was drawn with known probabilities q, nothing: with suspicion s, and w = 1 where a drawn
  label is wrong, the rate is mean(s) + (1/m) sum_j (w_j - s_j) / (n q_j) over the m draws. It is unbiased
  whatever s is, and the better s is, the smaller its variance. Its normal interval is too narrow where few
  draws contradict the suspicion (most samples have none of the few labels that a detector misses); then it
  is widened.
- From labels that people chose to check, such as the most suspicious ones, that suspicion is wrong in the
  same way for all: logit s' = a + b logit s, with a and b fitted to the checked labels. From the first 50
  alone that is an extrapolation, and the interval says so.

Source: Hansen & Hurwitz 1943, Ann. Math. Stat. 14(4), the estimator for draws with replacement;
Korn & Graubard 1998, Survey Methodology 24(2), 193-201, the exact interval at the effective number of draws,
here (sum 1/q)^2 / sum 1/q^2 (Kish 1965, Survey Sampling);
Särndal, Swensson & Wretman 1992, Model Assisted Survey Sampling, Section 6.3, the difference estimator; q as
optimal allocation (Neyman 1934) has it for the variance s (1 - s), with a constant so that every label may be
drawn; a and b are those of Cox 1958, Biometrika 45, 562-565, at the maximum of the posterior with normal
priors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

STANDARD_ERRORS = 1.96
LEAST_DECIDED = 50  # from this many on, the others are estimated
LEAST_DRAWS = 30  # the interval needs a variance
_LEAST_SURPRISES = 5  # draws that contradict the suspicion, for a normal interval
_FLOOR = 0.05  # of the probability to be drawn, relative to sqrt(s (1 - s)) <= 0.5
_SURE = 1e-4  # suspicion of 0 and 1 is never taken at its word
_PRIOR_MEAN = np.array([0.0, 1.0])  # suspicion as it is
_PRIOR_PRECISION = np.diag([1 / 2.0**2, 1 / 0.5**2])
_STEPS, _SMALLEST_STEP = 30, 1e-9


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


def draw_probabilities(suspicion: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Probabilities, summing to 1, with which draws estimate the rate best: q ~ sqrt(s (1 - s)) + 0.05."""
    weights = np.sqrt(suspicion * (1 - suspicion)) + _FLOOR
    return weights / weights.sum()


def rate_from_drawn(
    suspicion: Float[np.ndarray, " m"],
    probabilities: Float[np.ndarray, " m"],
    is_wrong: Bool[np.ndarray, " m"],
    *,
    num: int,
    mean: float,
) -> Estimate:
    """The share of wrong labels, from a sample drawn with replacement; see the head of the file.

    Args:
        suspicion: of each of two or more draws, made without knowing the sample.
        probabilities: q of each draw.
        is_wrong: the truth of each draw.
        num: of all labels, n.
        mean: of the suspicion of all labels.
    """
    terms = (is_wrong - suspicion) / (num * probabilities)
    margin = STANDARD_ERRORS * float(terms.std(ddof=1)) / np.sqrt(len(terms))
    value = float(mean + terms.mean())
    found = Estimate(*(min(max(each, 0.0), 1.0) for each in (value, value - margin, value + margin)))
    if (np.abs(is_wrong - suspicion) > 0.5).sum() >= _LEAST_SURPRISES:
        return found
    low, high = _exact_interval(1 / probabilities, is_wrong)
    return Estimate(found.value, min(found.low, low), max(found.high, high))


def _exact_interval(
    weights: Float[np.ndarray, " m"], is_wrong: Bool[np.ndarray, " m"]
) -> tuple[float, float]:
    """95 % interval of Clopper and Pearson for a weighted share, at its effective number of draws."""
    from scipy.special import betaincinv  # a finished folder does without SciPy

    num = weights.sum() ** 2 / (weights**2).sum()
    wrong = num * (weights * is_wrong).sum() / weights.sum()
    low = float(betaincinv(wrong, num - wrong + 1, 0.025)) if is_wrong.any() else 0.0
    high = float(betaincinv(wrong + 1, num - wrong, 0.975)) if not is_wrong.all() else 1.0
    return low, high


def share(num: int, of: int) -> Estimate:
    """A share with its interval.

    Source: Wilson 1927, J. Am. Stat. Assoc. 22(158), the score interval.
    """
    z2 = STANDARD_ERRORS**2
    rate = num / of
    centre = (rate + z2 / (2 * of)) / (1 + z2 / of)
    margin = STANDARD_ERRORS / (1 + z2 / of) * np.sqrt(rate * (1 - rate) / of + z2 / (4 * of**2))
    return Estimate(rate, max(float(centre - margin), 0.0), min(float(centre + margin), 1.0))


@dataclass(frozen=True, eq=False)
class RecalibratedSuspicion:
    """Suspicion of the labels nobody checked, made to fit those that were.

    Attributes:
        suspicion: s' of the unchecked labels.
        log_odds: of their suspicion before.
        covariance: of a and b.
        num_wrong: wrong labels among the checked ones.
        num: of all labels.
    """

    suspicion: Float[np.ndarray, " u"]
    log_odds: Float[np.ndarray, " u"]
    covariance: Float[np.ndarray, "2 2"]
    num_wrong: int
    num: int

    def expected_wrong(self, rows: Int[np.ndarray, " r"]) -> Estimate:
        """How many of these unchecked labels are wrong; the interval is by the delta method."""
        some = self.suspicion[rows]
        spread = some * (1 - some)
        slope = np.array([spread.sum(), (spread * self.log_odds[rows]).sum()])
        margin = STANDARD_ERRORS * float(np.sqrt(spread.sum() + slope @ self.covariance @ slope))
        value = float(some.sum())
        return Estimate(value, max(value - margin, 0.0), min(value + margin, float(len(some))))

    def rate(self) -> Estimate:
        """Share of wrong labels among all, checked and unchecked."""
        rest = self.expected_wrong(np.arange(len(self.suspicion)))
        ends = ((self.num_wrong + each) / self.num for each in (rest.value, rest.low, rest.high))
        return Estimate(*ends)


def recalibrate(
    checked: Float[np.ndarray, " c"],
    is_wrong: Bool[np.ndarray, " c"],
    unchecked: Float[np.ndarray, " u"],
    *,
    num_wrong: int | None = None,
    num: int | None = None,
) -> RecalibratedSuspicion:
    """Fit a and b to the checked labels and apply them to the others.

    A right label at the highest suspicion and a wrong one at the lowest are added, so that no suspicion
    becomes 0 or 1 where all the checked labels were right or all were wrong.

    Args:
        checked: suspicion of the checked labels.
        is_wrong: their truth.
        unchecked: suspicion of the others.
        num_wrong: wrong labels among all checked ones as they are now; by default those of `is_wrong`.
        num: of all labels; by default all that are here.
    """
    own, other = (logit(np.clip(each, _SURE, 1 - _SURE)) for each in (checked, unchecked))
    log_odds = np.concatenate([own, [own.max(), own.min()]])
    wrong = np.concatenate([is_wrong, [False, True]]).astype(np.float64)
    fitted, covariance = _fit(np.stack([np.ones_like(log_odds), log_odds], axis=1), wrong)
    return RecalibratedSuspicion(
        suspicion=expit(fitted[0] + fitted[1] * other),
        log_odds=other,
        covariance=covariance,
        num_wrong=int(is_wrong.sum()) if num_wrong is None else num_wrong,
        num=len(checked) + len(unchecked) if num is None else num,
    )


def _fit(
    columns: Float[np.ndarray, "c 2"], wrong: Float[np.ndarray, " c"]
) -> tuple[Float[np.ndarray, " 2"], Float[np.ndarray, "2 2"]]:
    """The maximum of the posterior of a and b by Newton's method, and the covariance there."""
    fitted = np.array(_PRIOR_MEAN)
    for _ in range(_STEPS):
        probs = expit(columns @ fitted)
        gradient = columns.T @ (probs - wrong) + _PRIOR_PRECISION @ (fitted - _PRIOR_MEAN)
        hessian = (columns * (probs * (1 - probs))[:, None]).T @ columns + _PRIOR_PRECISION
        step, size, here = np.linalg.solve(hessian, gradient), 1.0, _loss(columns, wrong, fitted)
        while _loss(columns, wrong, fitted - size * step) > here and size > _SMALLEST_STEP:
            size /= 2
        fitted = fitted - size * step
    return fitted, np.linalg.inv(hessian)


def _loss(columns: Float[np.ndarray, "c 2"], wrong: Float[np.ndarray, " c"], at: np.ndarray) -> float:
    """Minus the logarithm of the posterior, up to a constant."""
    log_odds, off = columns @ at, at - _PRIOR_MEAN
    return float((np.logaddexp(0, log_odds) - wrong * log_odds).sum() + off @ _PRIOR_PRECISION @ off / 2)


def logit(probs: Float[np.ndarray, " c"]) -> Float[np.ndarray, " c"]:
    """Log odds, of probabilities strictly between 0 and 1."""
    return np.log(probs) - np.log1p(-probs)


def expit(log_odds: Float[np.ndarray, " c"]) -> Float[np.ndarray, " c"]:
    """Inverse of `logit`, for moderate values."""
    return 1 / (1 + np.exp(-log_odds))
