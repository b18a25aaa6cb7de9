"""A process that asked for it ends with its parent, even while it computes."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

_FAMILY = """
import os, sys, time
from noiseproof.core.parent import end_with_parent
parent = os.getpid()
child = os.fork()
if child == 0:
    end_with_parent(parent)
    print(os.getpid(), flush=True)
    sum(range(10**12))  # one long call: no thread of Python would have its turn
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux")
def test_a_child_ends_when_its_parent_is_terminated():
    with subprocess.Popen([sys.executable, "-c", _FAMILY], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        parent.terminate()
    deadline = time.monotonic() + 30
    while _is_running(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _is_running(child)


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux")
def test_a_child_whose_parent_has_ended_already_ends_at_once():
    code = "from noiseproof.core.parent import end_with_parent; end_with_parent(2**22); print('lives')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")


def _is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
