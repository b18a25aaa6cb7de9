"""One thread for factorisations of d x d matrices.

Their steps are too short to share: on an idle machine a second thread gains nothing, and where other programs
use the cores too, threads that spin for one another made `eigvalsh` of 1280 x 1280 seven times slower.
Products of large matrices keep all threads.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

import scipy.linalg  # noqa: F401  (its BLAS is another than NumPy's, and only loaded ones are limited)
from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[object]:
    """Context in which BLAS and LAPACK run on one thread; without effect in others than the main thread."""
    return _loaded().limit(limits=1, user_api="blas")


@cache
def _loaded() -> ThreadpoolController:
    """Looking for the libraries takes as long as a small factorisation."""
    return ThreadpoolController()
