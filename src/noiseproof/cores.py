"""How many processor cores this process may use."""

from __future__ import annotations

import os


def num_cores() -> int:
    """Those the system allows this process, where it says so; else all."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1
