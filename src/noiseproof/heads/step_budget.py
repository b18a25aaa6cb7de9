"""Number of optimiser steps and batch size of a head."""

from __future__ import annotations

import math
from dataclasses import dataclass

# With fewer passes some examples would hardly be learned.
_LEAST_EPOCHS = 3


@dataclass(frozen=True)
class StepBudget:
    """Epochs and steps of one head.

    Attributes:
        epochs: passes over the examples.
        steps_per_epoch: optimiser steps per epoch; batch sizes differ by at most one example.
    """

    epochs: int
    steps_per_epoch: int

    @property
    def num_steps(self) -> int:
        """Total number of optimiser steps."""
        return self.epochs * self.steps_per_epoch


def step_budget(
    num_examples: int, *, epochs: int, batch_size: int, min_steps: int = 1, max_steps: int | None = None
) -> StepBudget:
    """Epochs and steps as requested, or bounded to `max_steps`.

    To respect the bound, the number of epochs falls to three at the least; then the batch size doubles. The
    learning rate stays the same: increasing it with the batch lost accuracy in every measurement
    (`benchmarks/RESULTS.md`, "Schedule").

    Args:
        num_examples: n.
        epochs: requested passes.
        batch_size: requested examples per step.
        min_steps: least number of steps; small data sets get more epochs.
        max_steps: largest number of steps, stronger than `min_steps`; `None` sets no bound.
    """
    epochs = max(epochs, math.ceil(min_steps / math.ceil(num_examples / batch_size)))
    if max_steps is None:
        return StepBudget(epochs, math.ceil(num_examples / batch_size))
    batch = batch_size
    while min(epochs, _LEAST_EPOCHS, max_steps) * math.ceil(num_examples / batch) > max_steps:
        batch *= 2
    per_epoch = math.ceil(num_examples / batch)
    return StepBudget(min(epochs, max_steps // per_epoch), per_epoch)
