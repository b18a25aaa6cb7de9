"""The learning rate of each step, for heads and for whole networks alike."""

from __future__ import annotations

import math
from typing import Literal

Decay = Literal["cosine", "linear"]


def learning_rate_factor(
    step: int, *, num_steps: int, warmup_steps: int = 0, decay: Decay = "cosine"
) -> float:
    """Learning rate of this step as a part of the highest one, in [0, 1].

    Rises linearly over the warm-up, so that step `warmup_steps - 1` has the full rate, then falls to 0
    along half a cosine (vision) or a line (text); step `num_steps` would have exactly 0.

    Source: Chen, Wang et al. 2024, arXiv:2309.17002, A.2 and B.3 (cosine for vision, linear for text).
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    part = (step - warmup_steps) / max(num_steps - warmup_steps, 1)
    return 0.5 * (1 + math.cos(math.pi * part)) if decay == "cosine" else 1 - part
