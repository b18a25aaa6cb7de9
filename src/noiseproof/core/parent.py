"""A process that ends when its parent does, however that ended."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent(parent: int) -> None:
    """Let the kernel kill this process as soon as its parent has ended (Linux; elsewhere nothing happens).

    Unlike a thread that waits for the parent, this also works while a library is imported or a long product
    computed. The parent must have started this process from a thread that lives as long as itself.

    Args:
        parent: process id of the parent; if that has ended already, this process ends at once.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
