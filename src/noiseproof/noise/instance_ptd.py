"""Instance-dependent noise as published, on raw pixels; kept because results are quoted for it."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int

from noiseproof.core.checks import check_finite
from noiseproof.core.errors import BadData, invalid
from noiseproof.noise.draw import Draw, widened
from noiseproof.noise.instance_targets import as_rows, blocks, draw_targets, flat, flip_rates


def instance_ptd(
    clean_labels: Int[np.ndarray, " n"],
    *,
    rate: float,
    num_classes: int,
    rng: np.random.Generator,
    features: Any,
) -> Draw:
    """Flip each label with its own probability q_i, to a class drawn from softmax(x^T W_y) on raw pixels.

    Two things to know before quoting it. Logits of raw pixels are thousands apart, so the softmax is one-hot
    (`example_entropy_nats` is about 0) and most of a class goes to one target. And the flip rates are cut off
    at 0, so a small rate is exceeded: 0.1 realises 0.13. `instance` mends both.

    Args:
        rate: mean of the normal distribution of flip rates before the cut, in [0, 1]; 0 changes nothing.
        features: (n, ...) raw pixels, 0 to 255.

    Raises:
        InvalidArgument: there is no other class to go to, or `features` are no examples.
        BadData: values that are not raw pixels, NaN or infinity, or another number of rows than labels.

    Source: Xia et al. 2020, arXiv:2006.07836, Algorithm 2, as the released code of it and of later papers
    runs it, on inputs of 0 to 255.
    Differs: the flip is drawn before its target, which is the same distribution and leaves out the products
    of labels that stay; W is drawn class by class in float32.
    """
    inputs = as_rows(features, len(clean_labels))
    if rate > 0 and len(clean_labels) and num_classes < 2:
        raise invalid("num_classes", num_classes, "at least 2 where labels are to change")
    given = widened(clean_labels, num_classes)
    _check_raw_pixels(inputs)
    if rate == 0 or len(given) == 0:
        return Draw(given, example_entropy_nats=0.0)
    rows = np.flatnonzero(rng.random(len(given)) < flip_rates(len(given), rate, rng))
    targets, entropy = draw_targets(
        inputs, rows, clean_labels, num_classes=num_classes, rng=rng, prepare=flat
    )
    given[rows] = targets
    return Draw(given, example_entropy_nats=entropy)


def _check_raw_pixels(inputs: Any) -> None:
    """Centred or scaled inputs would be another procedure under the published name."""
    lowest, highest = 0.0, 0.0
    for start, block in blocks(inputs):
        check_finite(block, first_row=start)
        lowest, highest = min(lowest, float(block.min())), max(highest, float(block.max()))
    if len(inputs) and not (lowest >= 0 and 1 < highest <= 255):
        raise BadData(
            f"`features` has values from {lowest:.4g} to {highest:.4g}; allowed for kind 'instance_ptd': raw "
            "pixels, 0 to 255, as published. Next: give those, or use kind 'instance', which takes any scale."
        )
