"""Order of examples: the rows of a step depend on seed and step alone, so that a run resumes exactly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import final

import numpy as np
from jaxtyping import Int

from noiseproof.core.errors import invalid
from noiseproof.core.rng import stream


@dataclass(frozen=True)
class Share:
    """The part of every batch that this process computes.

    Attributes:
        rank: number of the process.
        world: how many there are.
    """

    rank: int = 0
    world: int = 1

    def of(self, batch_size: int) -> slice:
        """Places of a batch of this size that belong to this process."""
        return slice(self.rank, batch_size, self.world)


class AbstractOrder(ABC):
    """Epochs of batches of one size.

    Attributes:
        batch_size: rows of a step over all processes.
        seed: of the order.
    """

    batch_size: int
    seed: int

    @property
    @abstractmethod
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch."""

    @abstractmethod
    def drawn(self, epoch: int) -> Int[np.ndarray, " m"]:
        """All rows of an epoch, in their order."""

    def rows(self, step: int) -> Int[np.ndarray, " b"]:
        """Rows of the batch of this step, step 0 first."""
        epoch, place = divmod(step, self.steps_per_epoch)
        begin = place * self.batch_size
        return _drawn(self, epoch)[begin : begin + self.batch_size]


@final
@dataclass(frozen=True)
class Order(AbstractOrder):
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

    def drawn(self, epoch: int) -> Int[np.ndarray, " m"]:
        """All rows of an epoch, in their order."""
        shuffled = stream(self.seed, "order", epoch).permutation(self.num_examples)
        return np.repeat(shuffled, self.repeats)[: self.num_examples]


@final
@dataclass(frozen=True, eq=False)
class BalancedOrder(AbstractOrder):
    """Every epoch is a fresh sample with the same number of examples of each class, in random order.

    A class with fewer examples than that gives all of them as often as they fit and, for the rest, a random
    part of them; a class without any gives none.

    Attributes:
        labels: class ids, given ones: they may be wrong.
        per_class: examples of each class in an epoch.
        batch_size: rows of a step over all processes; the rest of an epoch is left out.
        seed: of the draws and of the order.

    Source: Li, Socher & Hoi 2020, arXiv:2002.07394 (Clothing1M, balanced by noisy labels), as in
    the released code of Ghosh & Lan 2021, arXiv:2104.08984.
    Differs: there, a class with too few examples is left short.
    """

    labels: Int[np.ndarray, " n"]
    per_class: int
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        if self.per_class < 1:
            raise invalid("per_class", self.per_class, "a whole number from 1")
        size = self.per_class * len(self._members)
        if not 1 <= self.batch_size <= size:
            raise invalid(
                "batch_size", self.batch_size, f"1 to {size}, the examples of a balanced epoch",
                "Next: lower it, or raise per_class.",
            )  # fmt: skip

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch."""
        return self.per_class * len(self._members) // self.batch_size

    @cached_property
    def _members(self) -> list[Int[np.ndarray, " m"]]:
        """Rows of each class that occurs."""
        by_class = np.argsort(self.labels, kind="stable")
        _, starts = np.unique(self.labels[by_class], return_index=True)
        return np.split(by_class, starts[1:])

    def drawn(self, epoch: int) -> Int[np.ndarray, " m"]:
        """All rows of an epoch, in their order."""
        rng = stream(self.seed, "balanced", epoch)
        parts = []
        for rows in self._members:
            copies, rest = divmod(self.per_class, len(rows))
            parts += [*[rows] * copies, rng.choice(rows, rest, replace=False)]
        return rng.permutation(np.concatenate(parts))


@lru_cache(maxsize=4)  # two epochs of two orders
def _drawn(order: AbstractOrder, epoch: int) -> Int[np.ndarray, " m"]:
    return order.drawn(epoch)
