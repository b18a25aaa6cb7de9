"""Two Gaussians fitted to the losses: which examples are of the hump with small losses."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture


@dataclass(frozen=True, eq=False)
class LossMixture:
    """What a mixture of two Gaussians says of losses.

    Attributes:
        clean: (n,) probability to be of the component with the smaller mean.
        separation: distance of the means in units of the mean spread, Ashman's D; above 2 two humps can be
            told apart; 0 where all losses are equal.
    """

    clean: Float[np.ndarray, " n"]
    separation: float


def fit_mixture(losses: Float[np.ndarray, " n"], *, seed: int) -> LossMixture:
    r"""Fit the mixture to losses scaled to [0, 1].

    Source: Li, Socher & Hoi 2020, arXiv:2002.07394, Section 3.1; scale and settings as in the authors' code.
    Ashman, Bird & Zepf 1994, AJ 108, Eq. A1: $D = |\mu_1 - \mu_2| \sqrt{2 / (\sigma_1^2 + \sigma_2^2)}$.
    """
    span = losses.max() - losses.min()
    if span == 0:  # nothing tells them apart
        return LossMixture(np.ones(len(losses)), 0.0)
    scaled = ((losses - losses.min()) / span)[:, None]
    mixture = GaussianMixture(2, max_iter=10, tol=1e-2, reg_covar=5e-4, random_state=seed % 2**32)
    # Array API dispatch, which a user may have turned on, knows other initialisations only.
    with warnings.catch_warnings(), config_context(array_api_dispatch=False):
        warnings.simplefilter("ignore", ConvergenceWarning)  # ten rounds are as published
        mixture.fit(scaled)
        probs = mixture.predict_proba(scaled)
    means, variances = mixture.means_.ravel(), mixture.covariances_.ravel()
    separation = abs(means[0] - means[1]) * math.sqrt(2 / variances.sum())
    return LossMixture(probs[:, means.argmin()], float(separation))
