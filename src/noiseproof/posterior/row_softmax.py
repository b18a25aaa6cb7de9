"""Softmax of every row of scores, in blocks whose temporary arrays stay in the cache."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from noiseproof.core.row_blocks import row_blocks

_BLOCK_NUMBERS = 2**15  # numbers in one block

Scores = Float[np.ndarray, "n k"]
PerExample = Float[np.ndarray, " n"]


def softmax_rows(scores: Scores, sharpness: float) -> Scores:
    """softmax(sharpness * scores) in the type of the scores."""
    probs = np.empty_like(scores)
    for rows, _, powers in _powers(scores, sharpness):
        np.divide(powers, powers.sum(axis=1, keepdims=True), out=probs[rows])
    return probs


def given_log_probs(
    scores: Scores, given_labels: Int[np.ndarray, " n"], sharpness: float
) -> tuple[PerExample, PerExample]:
    """ln P(given) under softmax(sharpness * scores), and its derivative with respect to the sharpness.

    The derivative is the score of the given label minus the mean score under the softmax.

    Args:
        scores: of all classes.
        given_labels: class ids.
        sharpness: factor of the scores.
    """
    log_probs, derivatives = np.empty(len(scores)), np.empty(len(scores))
    for rows, below_best, powers in _powers(scores, sharpness):
        sums = powers.sum(axis=1, dtype=np.float64)
        given = below_best[np.arange(len(below_best)), given_labels[rows]].astype(np.float64)
        log_probs[rows] = sharpness * given - np.log(sums)
        derivatives[rows] = given - np.einsum("bk,bk->b", powers, below_best) / sums
    return log_probs, derivatives


def other_probs(scores: Scores, given_labels: Int[np.ndarray, " n"], sharpness: float) -> PerExample:
    """1 - P(given) under softmax(sharpness * scores), to full precision also where it is 1e-300.

    Args:
        scores: of all classes.
        given_labels: class ids.
        sharpness: factor of the scores.
    """
    others = np.empty(len(scores))
    for rows, below_best, _ in _powers(scores, sharpness):
        powers = np.exp(sharpness * below_best.astype(np.float64))
        sums = powers.sum(axis=1)
        powers[np.arange(len(powers)), given_labels[rows]] = 0.0
        others[rows] = powers.sum(axis=1) / sums
    return others


def _powers(scores: Scores, sharpness: float) -> Iterator[tuple[slice, Scores, Scores]]:
    """Rows, their scores below the best, and exp(sharpness * these): no power overflows."""
    num_rows = max(1, _BLOCK_NUMBERS // scores.shape[1])
    below_best, powers = (np.empty((num_rows, scores.shape[1]), scores.dtype) for _ in range(2))
    for rows in row_blocks(len(scores), num_rows):
        block = scores[rows]
        below, power = below_best[: len(block)], powers[: len(block)]
        np.subtract(block, block.max(axis=1, keepdims=True), out=below)
        np.multiply(below, scores.dtype.type(sharpness), out=power)
        yield rows, below, np.exp(power, out=power)
