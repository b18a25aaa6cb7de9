"""Encoders whose spectrum moves with the noise they were "pre-trained" under, on the same examples."""

import numpy as np

RATES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)


def features_under(rate, *, n=1200, d=24, seed=0, data_seed=0, offset=1.0):
    """Noise flattens the spectrum: singular values fall as i^-(1.2 - rate); each has its own basis."""
    examples = np.random.default_rng(data_seed).normal(size=(n, d))
    rng = np.random.default_rng(1000 + seed)
    basis = np.linalg.qr(rng.normal(size=(d, d)))[0]
    wobble = np.exp(rng.normal(size=d) * 0.02)
    strengths = np.arange(1, d + 1) ** -(1.2 - rate) * wobble
    return (examples * strengths + offset * strengths[0] * np.eye(d)[0]) @ basis
