"""Independent random streams, one per stage of a run; the only code that seeds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def _entropy(seed: int, *path: str | int) -> list[int]:
    digest = hashlib.sha256(json.dumps(path).encode()).digest()
    return [seed, *np.frombuffer(digest, np.uint32).tolist()]


def stream(seed: int, *path: str | int) -> np.random.Generator:
    """A generator that depends only on the seed and on its purpose.

    Streams of different paths are independent, so a new stage never shifts the draws of an old one.

    Args:
        seed: the user's seed, >= 0.
        path: purpose of the stream, e.g. `"split"` or `"head", 3, "batches"`.
    """
    return np.random.default_rng(np.random.SeedSequence(_entropy(seed, *path)))


def torch_seed(seed: int, *path: str | int) -> int:
    """A 63-bit seed for `torch.Generator`, from the same tree of streams."""
    state = np.random.SeedSequence(_entropy(seed, *path)).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


@contextmanager
def isolated(seed: int, *path: str | int, is_cpu_only: bool = False) -> Iterator[None]:
    """Give the global generators of Python, NumPy and torch a stream of their own inside this block.

    For libraries that draw from global state (initialisers, dropout, RandAugment, Mixup). The states of
    before are restored afterwards, so callers are not affected.

    Args:
        seed: the user's seed, >= 0.
        path: purpose of the stream.
        is_cpu_only: leave GPUs alone, as a forked worker must.
    """
    import random

    import torch

    before = random.getstate(), np.random.get_state()  # noqa: NPY002
    has_gpu = not is_cpu_only and torch.cuda.is_available()
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if has_gpu else []):
        random.setstate(random.Random(torch_seed(seed, *path, "python")).getstate())
        legacy = np.random.RandomState(np.random.MT19937(_entropy(seed, *path, "numpy")))
        np.random.set_state(legacy.get_state())  # noqa: NPY002
        torch.set_rng_state(torch.Generator().manual_seed(torch_seed(seed, *path, "torch")).get_state())
        if has_gpu:
            torch.cuda.manual_seed(torch_seed(seed, *path, "cuda"))
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002


@contextmanager
def rewound(state: torch.Tensor, device_state: torch.Tensor | None = None) -> Iterator[None]:
    """Inside this block torch draws again what it drew after `torch_state()` gave this state.

    For a second pass through a network that has to see the dropout masks of the first.
    """
    import torch

    devices = [] if device_state is None else [torch.cuda.current_device()]
    with torch.random.fork_rng(devices=devices):
        torch.set_rng_state(state)
        if device_state is not None:
            torch.cuda.set_rng_state(device_state)
        yield


def torch_state() -> tuple[torch.Tensor, torch.Tensor | None]:
    """States of torch's global generators: of the CPU, and of the current GPU if any."""
    import torch

    return torch.get_rng_state(), torch.cuda.get_rng_state() if torch.cuda.is_available() else None
