"""Threads and cores: how many this process may use, and work that is faster on one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

# Products of a training step below this are too short to share (`dev/LOG.md`, "Threads of heads").
_SHARED_FROM = 200_000_000


def threads_for(multiply_adds: int) -> AbstractContextManager[None]:
    """Context with one thread for short training steps, and with all threads for long ones.

    After each product, threads wait for one another by spinning, unless the process was started with
    `OMP_WAIT_POLICY=PASSIVE`, as the command line is. With other programs on the same cores, a step of a
    small head took 10 to 50 times as long on two threads as on one.

    Args:
        multiply_adds: of the largest matrix product in a step.
    """
    return one_thread() if multiply_adds < _SHARED_FROM else nullcontext()


@contextmanager
def one_thread() -> Iterator[None]:
    """Run BLAS, LAPACK, scikit-learn and PyTorch on one thread inside this context.

    For factorisations of d x d matrices and for a handful of images, whose steps are too short to share. An
    idle machine gains nothing from a second thread there; where other programs use the cores, threads that
    spin for one another made `eigvalsh` of 1280 x 1280 seven times slower, and 8 images took 3 s instead of
    0.3 s. Large products keep all threads. The limit on BLAS has no effect outside the main thread.
    """
    torch: Any = sys.modules.get("torch")  # one that is not loaded runs nothing
    before = torch.get_num_threads() if torch else 1
    with _pools(has_sklearn="sklearn" in sys.modules).limit(limits=1):
        if torch:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)


@cache
def _pools(*, has_sklearn: bool) -> Any:
    """Controller of the loaded BLAS and OpenMP libraries; finding them costs a small factorisation.

    Args:
        has_sklearn: whether scikit-learn is loaded, which brings an OpenMP of its own.
    """
    del has_sklearn  # a key of the cache
    import scipy.linalg  # noqa: F401  SciPy has a BLAS of its own, and only loaded ones are limited
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def num_cores() -> int:
    """Number of processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1
