"""A label that an image-text model, which never saw it, would not give."""

from __future__ import annotations

import numpy as np

from noiseproof.detect.inputs import Evidence
from noiseproof.detect.opinion import Opinion, by_decision


def zero_shot_opinion(evidence: Evidence) -> Opinion:
    """An issue is an example of which the model likes another class better.

    Source: Wei et al. 2024, arXiv:2409.19696, Table 1 (label-match).
    """
    probs = np.asarray(evidence.need("zero_shot", "zero_shot"), dtype=np.float64)
    given, preferred = evidence.given_labels, probs.argmax(1)
    of_given = np.take_along_axis(probs, given[:, None], 1)[:, 0]
    return by_decision(
        np.clip(1.0 - of_given, 0.0, 1.0), preferred != given, preferred, given,
        num_classes=evidence.num_classes, method="zero_shot", probs=probs,
    )  # fmt: skip
