"""WiSE-FT: networks on the line between the weights before and after fine-tuning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from noiseproof.core.checks import check_share
from noiseproof.core.errors import CheckpointMismatch

StateDict = Mapping[str, Tensor]


def interpolate_weights(before: StateDict, after: StateDict, alpha: float) -> dict[str, Tensor]:
    r"""Weights between two networks of one architecture.

    $\theta_\alpha = (1 - \alpha) \theta_0 + \alpha \theta_1$, for the running statistics of batch
    normalisation as well. Counters, which are whole numbers, are those of $\theta_1$.

    Args:
        before: state dict of theta_0.
        after: state dict of theta_1.
        alpha: in [0, 1]; at 0 and 1 the result is theta_0 and theta_1, bit for bit.

    Raises:
        InvalidArgument: `alpha` is no share.
        CheckpointMismatch: the two differ in names or shapes.

    Source: Wortsman et al. 2022, arXiv:2109.01903, Section 3 (weight-space ensemble).
    Differs: their theta_0 has a zero-shot classifier; ours is made by the caller.
    """
    check_share(alpha, "alpha")
    differing = sorted(
        name
        for name in before.keys() | after.keys()
        if name not in before or name not in after or before[name].shape != after[name].shape
    )
    if differing:
        raise CheckpointMismatch(
            f"The weights before and after are of different networks ({len(differing)} differ: "
            f"{', '.join(differing[:8])}). Next: interpolate between networks of one architecture."
        )
    if alpha in (0, 1):
        return dict(after if alpha else before)
    return {
        name: torch.lerp(before[name], value, alpha) if value.is_floating_point() else value
        for name, value in after.items()
    }


def probs_by_state(
    network: nn.Module, states: Mapping[str, StateDict], images: Float[Tensor, "b 3 h w"]
) -> Iterator[tuple[str, Float[Tensor, "b k"]]]:
    """Class probabilities of the same images under each of several sets of weights.

    Args:
        network: of their architecture; in evaluation mode, on the device of the images.
        states: name -> state dict.
        images: normalised.
    """
    for name, state in states.items():
        with torch.inference_mode():
            logits = torch.func.functional_call(network, dict(state), (images,))
        yield name, torch.softmax(logits.double(), dim=1)
