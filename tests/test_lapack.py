"""One thread while anybody asks for it, and as many as before afterwards."""

import numpy as np
import scipy.linalg
from threadpoolctl import threadpool_info, threadpool_limits

from noiseproof.lapack import one_thread


def blas_threads():
    np.ones((2, 2)) @ np.ones((2, 2))
    scipy.linalg.cholesky(np.eye(2))
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


def test_one_thread_inside_and_the_same_as_before_afterwards():
    with threadpool_limits(2, user_api="blas"):
        assert blas_threads() == {2}
        with one_thread():
            assert blas_threads() == {1}
            with one_thread():
                assert blas_threads() == {1}
            assert blas_threads() == {1}
        assert blas_threads() == {2}
