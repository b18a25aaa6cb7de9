"""The range in which the share of wrong labels probably is.

Where a head disagrees with a label, features alone may not say which of the two errs. The lower end counts
the wrong labels expected among the flagged ones, as if the head were to blame for the rest. The upper end is
the rate of confident learning, as if labels were to blame for every confident disagreement. Both are widened
by 1.96 standard errors of a share.

Source: ours; Northcutt, Jiang & Chuang 2021, arXiv:1911.00068, Eqs. 1 to 3 (the upper end).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from noiseproof.detect.confident_learning import confidence, confident_rate
from noiseproof.detect.detector_result import DetectorResult

_STANDARD_ERRORS = 1.96


def with_rate_range(
    result: DetectorResult, probs: Float[np.ndarray, "n k"], given_labels: Int[np.ndarray, " n"]
) -> DetectorResult:
    """A copy with `rate_range`.

    Args:
        result: of a detector whose suspicion is a probability.
        probs: P(true | x).
        given_labels: class ids.
    """
    n, rate = len(given_labels), result.noise_rate
    expected = float(result.suspicion[result.is_issue].sum()) / n
    confident = confident_rate(confidence(probs, given_labels), given_labels)
    margins = [_STANDARD_ERRORS * np.sqrt(share * (1 - share) / n) for share in (expected, confident)]
    low, high = expected - margins[0], confident + margins[1]
    return replace(result, rate_range=(float(max(min(low, rate), 0.0)), float(min(max(high, rate), 1.0))))
