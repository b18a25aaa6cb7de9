"""How likely each given label is right, from features and the given labels alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from noiseproof.posterior.calibration import calibrate
from noiseproof.posterior.leave_one_out import leave_one_out


def label_trust(features: Any, given_labels: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Probability that a given label is right, of every example, in [0, 1].

    Args:
        features: (n, d) array-like, sliced by rows; finite; n >= 2.
        given_labels: class ids in [0, k), each of which occurs.
    """
    num_classes = int(given_labels.max()) + 1
    scores = leave_one_out(features, given_labels, num_classes=num_classes).scores
    return 1.0 - calibrate(scores, given_labels).suspicion
