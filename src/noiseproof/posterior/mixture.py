"""A mixture of two Gaussians on losses: the probability that a loss belongs to the smaller component."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture


@dataclass(frozen=True, eq=False)
class LossMixture:
    """A mixture of two Gaussians fitted to n losses.

    Attributes:
        clean: (n,) probability of the component with the smaller mean.
        is_bimodal: whether the density of the mixture falls between the two means and rises again.
        low_mean: mean of the smaller component, in units of the losses.
    """

    clean: Float[np.ndarray, " n"]
    is_bimodal: bool
    low_mean: float


def fit_mixture(losses: Float[np.ndarray, " n"], *, seed: int) -> LossMixture:
    """Fit the mixture to losses scaled to [0, 1].

    Source: Li, Socher & Hoi 2020, arXiv:2002.07394, Section 3.1; scale and settings as in the authors' code.
    """
    span = losses.max() - losses.min()
    if span == 0:  # equal losses cannot be separated
        return LossMixture(np.ones(len(losses)), is_bimodal=False, low_mean=float(losses.min()))
    scaled = ((losses - losses.min()) / span)[:, None]
    mixture = GaussianMixture(2, max_iter=10, tol=1e-2, reg_covar=5e-4, random_state=seed % 2**32)
    # The array API dispatch of scikit-learn, if the user turned it on, lacks this initialisation.
    with warnings.catch_warnings(), config_context(array_api_dispatch=False):
        warnings.simplefilter("ignore", ConvergenceWarning)  # ten iterations, as published
        mixture.fit(scaled)
        probs = mixture.predict_proba(scaled)
    means = mixture.means_.ravel()
    low_mean = float(losses.min() + means.min() * span)
    return LossMixture(probs[:, means.argmin()], is_bimodal=_is_bimodal(mixture), low_mean=low_mean)


def _is_bimodal(mixture: GaussianMixture) -> bool:
    """Whether the density somewhere between the two means is below the density at both."""
    first, second = mixture.means_.ravel()
    between = np.linspace(first, second, 257)
    log_density = mixture.score_samples(between[:, None])
    return bool(log_density.min() < min(log_density[0], log_density[-1]))
