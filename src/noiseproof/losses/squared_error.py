"""The loss of scores, for heads that are no classifiers."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

SQUARED_ERROR = "squared_error"  # no entry of the table of losses, which are for classes


def squared_error(predictions: Float[Tensor, "*b"], scores: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    r"""Squared distance of each prediction from its score.

    $\ell = (\hat y - y)^2$.

    Args:
        predictions: of the head.
        scores: to learn, in the same unit.

    Returns:
        Unreduced loss, >= 0, in the squared unit of the scores.
    """
    return (predictions - scores).square()
