"""Short pieces of PyTorch work on one core."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Run a handful of examples on one core.

    For so little work more threads gain nothing, and they spin at every layer: where other processes use
    the cores too, 8 images took 3 s on two threads and 0.3 s on one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
