"""Wrong labels that depend on the example: what both kinds of instance-dependent noise share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy  # its parts are loaded when they are first used
from jaxtyping import Float, Int

from noiseproof.core.errors import BadData, invalid

_BLOCK_ROWS = 1024
_SPREAD = 0.1  # standard deviation of the flip rates of examples; Xia et al. 2020


def flip_rates(n: int, rate: float, rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """A flip rate for each of n examples, normal with mean `rate`, cut off at 0 and 1.

    The cut raises the mean where `rate` is small: to 0.13 at 0.1 and 0.10 at 0.05.

    Source: Xia et al. 2020, arXiv:2006.07836, Algorithm 2, line 1.
    """
    low, high = (scipy.special.ndtr((end - rate) / _SPREAD) for end in (0.0, 1.0))
    drawn = rate + _SPREAD * scipy.special.ndtri(low + rng.random(n) * (high - low))
    return np.clip(drawn, 0.0, 1.0)


def draw_targets(
    inputs: Any,
    rows: Int[np.ndarray, " m"],
    clean_labels: Int[np.ndarray, " n"],
    *,
    num_classes: int,
    prepare: Callable[[np.ndarray], Float[np.ndarray, "b d"]],
    rng: np.random.Generator,
) -> tuple[Int[np.ndarray, " m"], float]:
    r"""The wrong label of each of these rows, drawn from softmax(x^T W_y) over the other classes.

    W_y (d, k) is standard normal and drawn class by class, so that memory beyond the inputs is O(d k + b k)
    and not the O(d k^2) of all W at once.

    Args:
        inputs: (n, ...) anything that can be indexed by row numbers.
        rows: whose labels become wrong.
        prepare: a block of inputs -> x.

    Returns:
        Class ids, never the true one, and the mean entropy in nats of the distributions they were drawn from.

    Source: Xia et al. 2020, arXiv:2006.07836, Algorithm 2, lines 2 to 6.
    """
    targets = np.zeros(len(rows), np.int64)
    entropy = 0.0
    labels = clean_labels[rows]
    order = np.argsort(labels, kind="stable")
    children = rng.spawn(num_classes)  # a stream per class: nothing depends on the size of blocks
    for places in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        if len(places) == 0:
            continue
        own = int(labels[places[0]])
        weights = None
        for start in range(0, len(places), _BLOCK_ROWS):
            block = places[start : start + _BLOCK_ROWS]
            x = prepare(inputs[rows[block]])
            if weights is None:
                weights = children[own].standard_normal((x.shape[1], num_classes), dtype=np.float32)
            probs = target_probs(x @ weights, own)
            targets[block] = _drawn(probs, children[own].random(len(block)))
            entropy += float(scipy.special.entr(probs).sum())
    return targets, entropy / max(len(rows), 1)


def target_probs(logits: Float[np.ndarray, "b k"], own: int) -> Float[np.ndarray, "b k"]:
    """Softmax over all classes but `own`, whose probability is 0."""
    exact = logits.astype(np.float64)
    exact[:, own] = -np.inf
    return scipy.special.softmax(exact, axis=1)


def as_rows(inputs: Any, n: int) -> Any:
    """The inputs, checked to be n numeric examples.

    Raises:
        InvalidArgument: no numbers, or no axis beside the examples.
        BadData: as many examples as labels are needed.
    """
    if inputs is None:
        raise invalid("features", None, "an array of n examples; this kind of noise depends on them")
    inputs = inputs if hasattr(inputs, "shape") else np.asarray(inputs)
    if len(inputs.shape) < 2 or np.dtype(inputs.dtype).kind not in "fiub" or 0 in inputs.shape[1:]:
        raise invalid(
            "features", f"{inputs.dtype} of shape {tuple(inputs.shape)}", "numbers of shape (n, d) or images"
        )
    if len(inputs) != n:
        raise BadData(f"`features` has {len(inputs)} rows, `labels` {n}; they must agree.")
    return inputs


def flat(block: Any) -> Float[np.ndarray, "b d"]:
    """Examples as rows of float32."""
    array = np.asarray(block)
    return array.reshape(len(array), -1).astype(np.float32)


def blocks(inputs: Any) -> Any:
    """(first row, rows as float32) of everything, a block at a time."""
    for start in range(0, len(inputs), _BLOCK_ROWS):
        yield start, flat(inputs[start : start + _BLOCK_ROWS])


def _drawn(probs: Float[np.ndarray, "b k"], uniform: Float[np.ndarray, " b"]) -> Int[np.ndarray, " b"]:
    """A class per row, by the inverse of its distribution function."""
    edges = probs.cumsum(axis=1)
    # "<=" passes over a class of probability 0, also where it is the first and the draw is 0.
    drawn = (edges <= (uniform * edges[:, -1])[:, None]).sum(axis=1)
    is_past = drawn == probs.shape[1]  # a product that was rounded up
    return np.where(is_past, probs.argmax(axis=1), drawn)
