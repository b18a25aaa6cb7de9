"""One thread inside, and as many as before afterwards."""

import subprocess
import sys

import pytest
import torch

from noiseproof.core.threads import threads_for

# In a process of its own: here others have loaded libraries that factorise nothing for us.
PROGRAM = """
import scipy.linalg, sklearn.cluster, torch
from threadpoolctl import threadpool_info, threadpool_limits
from noiseproof.core.threads import one_thread

def threads():
    pools = {one["num_threads"] for one in threadpool_info()}
    return sorted(pools), torch.get_num_threads()

torch.set_num_threads(2)

with threadpool_limits(2):
    seen = [threads()]
    with one_thread():
        seen.append(threads())
        with one_thread():
            seen.append(threads())
        seen.append(threads())
    seen.append(threads())
print(seen)
"""


@pytest.mark.slow
def test_one_thread_inside_and_the_same_as_before_afterwards():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[([2], 2), ([1], 1), ([1], 1), ([1], 1), ([2], 2)]"


@pytest.mark.parametrize(("multiply_adds", "expected"), [(1_000, 1), (199_999_999, 1), (200_000_000, 2)])
def test_only_long_steps_share_threads(multiply_adds, expected):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threads_for(multiply_adds):
            assert torch.get_num_threads() == expected
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
