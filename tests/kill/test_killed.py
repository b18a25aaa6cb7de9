"""Programs are killed for real, with SIGKILL, and started again: the results are those of a whole run.

A kind of event is what is done to which file. Every verb is killed before a few kinds of events, others every
time, and the cheap ones before all kinds. `python tests/kill/by_hand.py` kills before every single event.
"""

import signal
import time

import numpy as np
import pytest
from harness import NAMES, different, finished, kinds_of_events, leftovers
from programs import PROGRAMS

NUM_KILLS = 3
CHEAP = (
    "write",
    "extraction",
    "training",
    "corrupt",
    "corrupt-captions",
    "detect",
    "report",
    "pack",
    "apply",
    "review",
    "predict",
    "export",
)


@pytest.mark.parametrize("name", NAMES)
def test_killed_before_some_kinds_of_events_it_ends_with_the_results_of_a_whole_run(
    server, wholes, tmp_path, name
):
    inputs, whole, results = wholes(name)
    patterns = list(kinds_of_events(whole.labels).values())
    seed = 7  # `by_hand.py` draws others
    drawn = np.random.default_rng(seed).choice(len(patterns), min(NUM_KILLS, len(patterns)), replace=False)
    points = [patterns[number] for number in sorted(drawn)]
    killed = [server.start(name, inputs, tmp_path / "out", kill_at=point).was_killed for point in points]
    assert killed[0]
    assert not different(finished(server, name, inputs, tmp_path / "out"), results), f"seed {seed}: {points}"


@pytest.mark.slow
@pytest.mark.parametrize("name", CHEAP)
def test_killed_before_every_kind_of_event_it_ends_with_the_results_of_a_whole_run(
    server, wholes, tmp_path, name
):
    inputs, whole, results = wholes(name)
    patterns = kinds_of_events(whole.labels).values()
    killed = [server.start(name, inputs, tmp_path / "out", kill_at=each).was_killed for each in patterns]
    assert sum(killed) >= len(killed) / 3  # many come once, in a stage that an earlier start has finished
    assert not different(finished(server, name, inputs, tmp_path / "out"), results)


def test_a_file_is_the_old_or_the_new_one_wherever_a_write_was_killed(server, wholes, tmp_path):
    inputs, whole, _ = wholes("write")
    found = []
    for at in range(1, len(whole.labels) + 1):
        folder = tmp_path / str(at)
        assert server.start("write", inputs, folder, kill_at=at).was_killed
        left = {path.name for path in folder.glob("*")} - {"file", ".lock"}
        assert left == {path.name for path in leftovers(folder)}
        found.append((folder / "file").read_bytes() if (folder / "file").exists() else None)
    assert found == sorted(found, key=[None, b"old", b"new"].index)
    assert set(found) >= {None, b"old"}


@pytest.mark.parametrize("name", ["pretrain-memory", pytest.param("pretrain-stream", marks=pytest.mark.slow)])
def test_killed_between_the_last_step_and_its_card_it_ends_with_the_same_card(server, wholes, tmp_path, name):
    inputs, _, results = wholes(name)
    out = tmp_path / "out"
    assert server.start(name, inputs, out, kill_at=r"open .*card\.json.*partial").was_killed
    assert (out / "model.safetensors").exists()
    assert not (out / "card.json").exists()
    assert not different(finished(server, name, inputs, out), results)


def test_an_extraction_that_is_killed_loses_at_most_one_shard(server, wholes, tmp_path):
    inputs, _, _ = wholes("extraction")
    program = PROGRAMS["extraction"]
    for shard in range(1, program.num_examples // program.shard_rows):
        out = tmp_path / f"out-{shard}"
        assert server.start("extraction", inputs, out, kill_at=rf"open .*part-0*{shard}\.").was_killed
        kept = {path: path.stat().st_mtime_ns for path in out.glob("*/part-*")}
        assert len(kept) == shard
        assert not list(out.glob("*/manifest.json"))
        resumed = server.start("extraction", inputs, out)
        assert int(resumed.printed.splitlines()[-1]) == program.num_examples - program.shard_rows * shard
        assert {path: path.stat().st_mtime_ns for path in kept} == kept


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_a_study_that_is_killed_leaves_no_process_behind(server, wholes, tmp_path, signal_number):
    inputs, _, _ = wholes("study-of-tunings")
    start = server.start(
        "study-of-tunings", inputs, tmp_path / "out", kill_at=r"[0-9a-f]{32}\.json", signal=signal_number
    )
    # in the lines, not at the end: Python's tracker of semaphores may warn after the kill, in its own time
    assert "killed beside 2 workers" in start.printed.splitlines()
    deadline = time.monotonic() + 30  # the kernel ends them at once; a busy machine may take its time
    while start.processes_left() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not start.processes_left()
