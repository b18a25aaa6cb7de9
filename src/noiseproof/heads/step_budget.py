"""How many steps a head takes, and how large a batch."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Fewer passes than this and some examples would hardly count.
_LEAST_EPOCHS = 3


@dataclass(frozen=True)
class StepBudget:
    """The loop of one head.

    Attributes:
        epochs: passes over the examples.
        steps_per_epoch: optimiser steps in each; batches are equal to within one example.
    """

    epochs: int
    steps_per_epoch: int

    @property
    def num_steps(self) -> int:
        """Optimiser steps in all."""
        return self.epochs * self.steps_per_epoch


def step_budget(
    num_examples: int, *, epochs: int, batch_size: int, min_steps: int = 1, max_steps: int | None = None
) -> StepBudget:
    """The papers' loop, or one bounded to `max_steps`.

    Bounded, epochs are dropped down to three; where even those have too many steps, the batch doubles. The
    learning rate stays: growing it with the batch lost accuracy wherever we measured it
    (`benchmarks/RESULTS.md`, "Schedule").

    Args:
        num_examples: n.
        epochs: passes asked for.
        batch_size: examples per step asked for.
        min_steps: small data get more epochs until they have this many steps.
        max_steps: bound on the optimiser steps, the stronger one; `None` keeps what was asked.
    """
    epochs = max(epochs, math.ceil(min_steps / math.ceil(num_examples / batch_size)))
    if max_steps is None:
        return StepBudget(epochs, math.ceil(num_examples / batch_size))
    batch = batch_size
    while min(epochs, _LEAST_EPOCHS, max_steps) * math.ceil(num_examples / batch) > max_steps:
        batch *= 2
    per_epoch = math.ceil(num_examples / batch)
    return StepBudget(min(epochs, max_steps // per_epoch), per_epoch)
