"""One thread for factorisations of d x d matrices.

Their steps are too short to share: on an idle machine a second thread gains nothing, and where other programs
use the cores too, threads that spin for one another made `eigvalsh` of 1280 x 1280 seven times slower.
Products of large matrices keep all threads.
"""

from __future__ import annotations

from threadpoolctl import threadpool_limits


def one_thread() -> threadpool_limits:
    """Context in which BLAS and LAPACK run on one thread."""
    return threadpool_limits(1, user_api="blas")
