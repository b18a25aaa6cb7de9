"""Programs are killed for real, with SIGKILL, and started again: the results are those of a whole run."""

import json
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from programs import PROGRAMS

from noiseproof.core.torchvision_ops import declare_missing_operators

declare_missing_operators()
SERVER = Path(__file__).parent / "fork_server.py"
SLOW = ("study-of-tunings",)


class Started:
    """A fork of the server that has ended."""

    def __init__(self, answer, out):
        self.pid, self.code, self.num_events = answer["pid"], answer["code"], answer["num_events"]
        self.said = Path(f"{out}.txt").read_text()

    @property
    def was_killed(self):
        assert self.code in (0, -signal.SIGKILL), self.said
        return self.code != 0


@pytest.fixture(scope="module")
def server():
    process = subprocess.Popen(
        [sys.executable, SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.stdin.close()


@pytest.fixture
def start(server, tmp_path):
    """A function that runs a program to its end, or to the file event before which it is killed."""
    (tmp_path / "inputs").mkdir()

    def started(name, out, *, kill_at=None):
        request = {"inputs": str(tmp_path / "inputs"), "out": str(tmp_path / out), "kill_at": kill_at}
        server.stdin.write(json.dumps({"program": name, **request}) + "\n")
        server.stdin.flush()
        return Started(json.loads(server.stdout.readline()), tmp_path / out)

    return started


def prepared(name, tmp_path):
    program = PROGRAMS[name]
    for extra in program.extras:
        pytest.importorskip(extra)
    program.prepare(tmp_path / "inputs")
    return program


def members(session):
    """Processes of a session that are still there."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, number, *_ = path.read_text().rpartition(")")[2].split()
            found += [path.parent.name] if int(number) == session and state != "Z" else []
    return found


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in PROGRAMS]
)
def test_killed_at_random_file_events_it_ends_with_the_results_of_a_whole_run(start, tmp_path, name):
    program = prepared(name, tmp_path)
    whole = start(name, "whole")
    assert whole.code == 0, whole.said
    seed = int(time.time())  # other points every time; part of the message, so that they can be had again
    rng, sixth = np.random.default_rng(seed), max(whole.num_events // 6, 1)
    early, later = (1, sixth + 1), (sixth, 2 * sixth + 1)  # so that the last one has still work to do
    points = [int(rng.integers(*span)) for span in (early, later, later, later)]
    killed = [start(name, "killed", kill_at=point).was_killed for point in points]
    assert killed[:2] == [True, True]
    last = start(name, "killed")
    assert last.code == 0, f"seed {seed}: {last.said}"
    assert program.found(tmp_path / "killed") == program.found(tmp_path / "whole"), f"seed {seed}"


def test_a_file_is_the_old_or_the_new_one_wherever_a_write_was_killed(start, tmp_path):
    prepared("write", tmp_path)
    num_events = start("write", "whole").num_events
    found = []
    for at in range(1, num_events + 1):
        folder = tmp_path / str(at)
        assert start("write", str(at), kill_at=at).was_killed
        left = {path.name for path in folder.glob("*")} - {"file"}
        assert all(name.startswith(".") and name.endswith(".partial") for name in left), left
        found.append((folder / "file").read_bytes() if (folder / "file").exists() else None)
    assert found == sorted(found, key=[None, b"old", b"new"].index)
    assert set(found) >= {None, b"old"}


@pytest.mark.parametrize("name", ["pretraining-memory", "pretraining-stream"])
def test_killed_between_the_last_step_and_its_card_it_ends_with_the_same_card(start, tmp_path, name):
    program = prepared(name, tmp_path)
    start(name, "whole")
    assert start(name, "killed", kill_at=r"card\.json.*partial").was_killed
    assert (tmp_path / "killed" / "model.safetensors").exists()
    assert not (tmp_path / "killed" / "card.json").exists()
    assert start(name, "killed").code == 0
    assert program.found(tmp_path / "killed") == program.found(tmp_path / "whole")


def test_an_extraction_that_is_killed_loses_at_most_one_shard(start, tmp_path):
    program = prepared("extraction", tmp_path)
    num_shards = program.num_examples // program.shard_rows
    for shard in range(1, num_shards):
        out = tmp_path / f"out-{shard}"
        assert start("extraction", out.name, kill_at=rf"part-0*{shard}\.").was_killed
        kept = {path: path.stat().st_mtime_ns for path in out.glob("*/part-*")}
        assert len(kept) == shard
        assert not list(out.glob("*/manifest.json"))
        resumed = start("extraction", out.name)
        assert int(resumed.said.splitlines()[-1]) == program.num_examples - program.shard_rows * shard
        assert {path: path.stat().st_mtime_ns for path in kept} == kept


@pytest.mark.slow
def test_a_study_that_is_killed_leaves_no_process_behind(start, tmp_path):
    prepared("study-of-tunings", tmp_path)
    killed = start("study-of-tunings", "out", kill_at=r"[0-9a-f]{32}\.json")  # a card that is kept
    assert killed.was_killed
    assert killed.said.endswith("killed beside 2 workers\n")
    deadline = time.monotonic() + 120
    while members(killed.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not members(killed.pid)
