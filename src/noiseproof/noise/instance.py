"""Instance-dependent noise: on features or pixels of any scale, and as published, on raw pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from noiseproof.core.checks import check_finite
from noiseproof.core.errors import BadData, invalid
from noiseproof.noise.draw import Draw, widened
from noiseproof.noise.instance_targets import as_rows, blocks, draw_targets, flat, flip_rates

# Root mean square of the logits. At 4 the likeliest wrong class has a probability of 0.75 among ten classes
# and of 0.56 among a hundred: the wrong label follows from the example, and yet any class can be it.
_LOGIT_RMS = 4.0


def instance(
    clean_labels: Int[np.ndarray, " n"],
    *,
    rate: float,
    num_classes: int,
    rng: np.random.Generator,
    features: Any,
) -> Draw:
    """Give exactly round(rate * n) labels to classes that depend on the example.

    Examples differ in how easily they are mislabelled, by flip rates as those of `instance_ptd`; the wrong
    label is drawn from softmax(x^T W_y), where x is the example less the mean of all, scaled to logits of
    moderate size. So examples that are alike get alike wrong labels. The more alike the examples of a class,
    the more of its wrong labels go to one target: on CIFAR-10, by class, 18 to 40 % for pixels and 29 to 63 %
    for features of an encoder that separates the classes (even noise: 11 %).

    Args:
        features: (n, d) features or (n, ...) pixels, of any scale.

    Raises:
        InvalidArgument: there is no other class to go to, or `features` are no examples.
        BadData: NaN or infinity (the row is named), or as many rows as labels are not there.

    Source: Xia et al. 2020, arXiv:2006.07836, Algorithm 2.
    Differs: inputs are centred and scaled, since on raw pixels the softmax is all but one-hot and most of a
    class goes to one target; the number of flips is exact.
    """
    inputs = as_rows(features, len(clean_labels))
    num_flips = round(rate * len(clean_labels))
    if num_flips and num_classes < 2:
        raise invalid("num_classes", num_classes, "at least 2 where labels are to change")
    given = widened(clean_labels, num_classes)
    if num_flips == 0:
        return Draw(given, example_entropy_nats=0.0)
    # The largest of u^(1/w) is a draw without replacement in proportion to w (Efraimidis & Spirakis 2006).
    weights = np.maximum(flip_rates(len(given), rate, rng), 1e-12)
    keys = np.log(np.maximum(rng.random(len(given)), 1e-300)) / weights
    rows = np.sort(np.argpartition(-keys, num_flips - 1)[:num_flips])
    mean, scale = _centre(inputs)
    targets, entropy = draw_targets(
        inputs, rows, clean_labels, num_classes=num_classes, rng=rng,
        prepare=lambda block: (flat(block) - mean) * scale,
    )  # fmt: skip
    given[rows] = targets
    return Draw(given, example_entropy_nats=entropy)


def instance_ptd(
    clean_labels: Int[np.ndarray, " n"],
    *,
    rate: float,
    num_classes: int,
    rng: np.random.Generator,
    features: Any,
) -> Draw:
    """Flip each label with its own probability q_i, to a class drawn from softmax(x^T W_y) on raw pixels.

    It is kept because results are quoted for it. Two things to know before quoting it: logits of raw pixels
    are thousands apart, so the softmax is one-hot (`example_entropy_nats` is about 0) and most of a class
    goes to one target; and the flip rates are cut off at 0, so a small rate is exceeded: 0.1 realises 0.13.
    `instance` mends both.

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


def _centre(inputs: Any) -> tuple[Float[np.ndarray, " d"], np.float32]:
    """Mean row, and the factor that gives centred rows a root mean square norm of `_LOGIT_RMS`."""
    total: Any = 0.0
    for start, block in blocks(inputs):
        check_finite(block, first_row=start)
        total = total + block.sum(axis=0, dtype=np.float64)
    mean = (total / len(inputs)).astype(np.float32)
    squares = sum(_sum_of_squares(block - mean) for _, block in blocks(inputs))
    norm = np.sqrt(squares / len(inputs))
    return mean, np.float32(_LOGIT_RMS / norm if norm > 0 else 0.0)


def _sum_of_squares(block: Float[np.ndarray, "b d"]) -> float:
    """Sum of squares, without a copy of the block."""
    return float(np.einsum("ij,ij->i", block, block).sum(dtype=np.float64))


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
