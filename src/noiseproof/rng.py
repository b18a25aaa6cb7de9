"""Independent random streams, one per stage of a run; the only code that seeds."""

from __future__ import annotations

import hashlib
import json

import numpy as np


def _entropy(seed: int, *path: str | int) -> list[int]:
    digest = hashlib.sha256(json.dumps(path).encode()).digest()
    return [seed, *np.frombuffer(digest, np.uint32).tolist()]


def stream(seed: int, *path: str | int) -> np.random.Generator:
    """A generator that depends on the seed and on what it is for, and on nothing else.

    Streams of different paths are independent, so a new stage never shifts the draws of an old one.

    Args:
        seed: the user's seed, >= 0.
        path: what the stream is for, e.g. `"split"` or `"head", 3, "batches"`.
    """
    return np.random.default_rng(np.random.SeedSequence(_entropy(seed, *path)))


def torch_seed(seed: int, *path: str | int) -> int:
    """A 63-bit seed for `torch.Generator`, from the same tree of streams."""
    state = np.random.SeedSequence(_entropy(seed, *path)).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))
