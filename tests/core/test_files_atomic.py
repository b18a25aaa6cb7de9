"""Whatever fails, a reader finds the old file whole or the new one, and nothing half-written beside it."""

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from noiseproof.core import files
from noiseproof.core.errors import CannotWrite, NoiseproofError, NoSpaceLeft
from noiseproof.core.files import append_lines, whole_lines


def failing(error):
    def fail(*args, **kwargs):
        raise error

    return fail


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("content", [b"", b"new", b"x" * 100_000])
def test_a_file_is_written_whole(content, tmp_path):
    path = tmp_path / "a" / "b" / "file.bin"
    files.write_bytes(path, content)
    assert path.read_bytes() == content
    files.write_bytes(str(path), content + b"2")
    assert path.read_bytes() == content + b"2"
    assert names(path.parent) == ["file.bin"]


@pytest.mark.parametrize("path", ["file", "file/below"])
def test_a_folder_that_is_a_file_is_told(path, tmp_path):
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(CannotWrite, match=r"new.json' cannot be written .* Next: name another folder"):
        files.write_json(tmp_path / path / "new.json", {})
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_others_may_read_the_file(tmp_path):
    files.write_bytes(tmp_path / "file", b"x")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with files.replacing(path) as partial:
        assert partial.parent == path.parent
        partial.write_bytes(b"ne")
        assert path.read_bytes() == b"old"
        partial.write_bytes(b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize(
    "error", [RuntimeError("mine"), KeyboardInterrupt(), OSError(errno.EIO, "I/O error")]
)
def test_a_failure_of_the_writer_leaves_the_old_file(error, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write():
        with files.replacing(path) as partial:
            partial.write_bytes(b"ne")
            raise error

    with pytest.raises(type(error)) as caught:
        write()
    assert caught.value is error
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


STEPS = [("os", "fsync"), ("path", "chmod"), ("path", "replace"), ("path", "write_bytes"), ("os", "open")]


@pytest.mark.parametrize(("owner", "step"), STEPS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_failure_at_any_step_leaves_the_old_file(owner, step, code, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with monkeypatch.context() as patched:
        patched.setattr(os if owner == "os" else Path, step, failing(OSError(code, "no")))
        with pytest.raises(OSError, match=r"No space left on the device|no") as caught:
            files.write_bytes(path, b"new")
    assert isinstance(caught.value, NoSpaceLeft) == (code != errno.EIO)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_failure_after_the_rename_leaves_the_new_file(tmp_path, monkeypatch):
    """The folder entry could not be synced: the caller hears of it, and what is there is whole."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    synced = []
    fsync = os.fsync

    def second_fails(handle):
        synced.append(handle)
        if len(synced) == 2:
            raise OSError(errno.EIO, "no")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", second_fails)
    with pytest.raises(OSError, match="no"):
        files.write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["file"]


def test_bytes_are_on_disk_before_the_name_changes_and_the_folder_after(tmp_path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(handle):
        steps.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def noted_replace(self, target):
        steps.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    files.write_bytes(tmp_path / "file", b"x")
    assert steps == ["file", "rename", "folder"]


def test_a_full_disk_is_told_with_the_folder_and_the_next_step(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.mkstemp", failing(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(
        NoSpaceLeft, match=r"writing 'file'; nothing half-written was kept\. Next: free"
    ) as caught:
        files.write_bytes(tmp_path / "file", b"x")
    assert str(tmp_path) in str(caught.value)
    assert isinstance(caught.value, NoiseproofError)
    assert isinstance(caught.value.__cause__, OSError)
    assert names(tmp_path) == []


def test_json_is_readable_and_ends_with_a_line_break(tmp_path):
    value = {"a": [1, 2.5, None, True], "é": "ü"}
    files.write_json(tmp_path / "x.json", value)
    text = (tmp_path / "x.json").read_text()
    assert json.loads(text) == value
    assert text.endswith("}\n")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"deep": [float("-inf")]}])
def test_json_refuses_what_it_does_not_have(value, tmp_path):
    (tmp_path / "x.json").write_text("old")
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "x.json", value)
    assert (tmp_path / "x.json").read_text() == "old"
    assert names(tmp_path) == ["x.json"]


def test_lines_are_added_in_one_write_and_cut_off_ones_do_not_count(tmp_path):
    path = tmp_path / "rows.jsonl"
    append_lines(path, ["one", "two"])
    append_lines(path, ["three"])
    assert path.read_text() == "one\ntwo\nthree\n"
    path.write_text("one\ntwo\nthr")
    assert whole_lines(path) == b"one\ntwo\n"
    path.write_text("on")
    assert whole_lines(path) == b""


def test_a_full_disk_is_told_when_lines_are_added(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NoSpaceLeft, match=r"No space left on the device .* while writing 'rows\.jsonl'"):
        append_lines(tmp_path / "rows.jsonl", ["one"])
    assert (tmp_path / "rows.jsonl").read_bytes() == b""


_UP_TO_A_LIMIT = """
import resource, signal, sys
from noiseproof.core.files import append_lines
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
append_lines(sys.argv[1], ["one"])
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
try:
    append_lines(sys.argv[1], ["x" * 20_000])
except OSError as error:
    print(error.errno)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
append_lines(sys.argv[1], ["two"])
"""


def test_of_a_line_that_did_not_fit_nothing_stays(tmp_path):
    path = tmp_path / "rows.jsonl"
    run = subprocess.run(
        [sys.executable, "-c", _UP_TO_A_LIMIT, str(path)], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == str(errno.EFBIG)
    assert path.read_text() == "one\ntwo\n"
