"""Which examples a step sees: a function of seed and step alone, so that a run resumes exactly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Int

from noiseproof.errors import invalid
from noiseproof.rng import stream


@dataclass(frozen=True)
class Share:
    """Which part of every batch this process computes.

    Attributes:
        rank: number of the process.
        world: how many there are.
    """

    rank: int = 0
    world: int = 1

    def of(self, batch_size: int) -> slice:
        """Places of a batch of this size that belong to this process."""
        return slice(self.rank, batch_size, self.world)


@dataclass(frozen=True)
class Order:
    """Epochs in random order, cut into batches of one size; the rest of an epoch is left out.

    Attributes:
        num_examples: n.
        batch_size: rows of a step over all processes, at most n.
        seed: of the order.
        repeats: with r > 1 an epoch holds n / r examples, each r times in a row and differently augmented.

    Source: repeated augmentation is Hoffer et al. 2020, arXiv:1901.09335, and Berman et al. 2019,
    arXiv:1902.05509; an epoch stays n rows long, as in Wightman et al. 2021, arXiv:2110.00476.
    """

    num_examples: int
    batch_size: int
    seed: int
    repeats: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size <= self.num_examples:
            raise invalid(
                "batch_size", self.batch_size, f"1 to {self.num_examples}, the number of examples",
                "Next: lower it.",
            )  # fmt: skip
        if self.repeats < 1:
            raise invalid("repeats", self.repeats, "a whole number from 1")

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch."""
        return self.num_examples // self.batch_size

    def rows(self, step: int) -> Int[np.ndarray, " b"]:
        """Rows of the batch of this step, step 0 first."""
        epoch, place = divmod(step, self.steps_per_epoch)
        begin = place * self.batch_size
        return _epoch_rows(self, epoch)[begin : begin + self.batch_size]


@lru_cache(maxsize=2)
def _epoch_rows(order: Order, epoch: int) -> Int[np.ndarray, " n"]:
    shuffled = stream(order.seed, "order", epoch).permutation(order.num_examples)
    return np.repeat(shuffled, order.repeats)[: order.num_examples]
