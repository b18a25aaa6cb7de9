"""Whatever fails, a reader finds the old file whole or the new one, and nothing half-written beside it."""

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from noiseproof.core.errors import CannotWrite, InvalidArgument, NoiseproofError, NoSpaceLeft
from noiseproof.core.storage import files
from noiseproof.core.storage.files import append_lines, whole_lines
from noiseproof.core.storage.sealed_tensors import write_tensors


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


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_those_of_the_umask(umask, mode, tmp_path):
    before = os.umask(umask)
    try:
        files.write_bytes(tmp_path / "file", b"x")
        append_lines(tmp_path / "lines", ["x"])
        write_tensors(tmp_path / "tensors", {"x": torch.ones(2)}, metadata={})
        with files.locked_folder(tmp_path):
            pass
    finally:
        os.umask(before)
    assert names(tmp_path) == [".lock", "file", "lines", "tensors"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {mode}


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


STEPS = [("os", "fsync"), ("path", "replace"), ("path", "write_bytes"), ("os", "open")]


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
    monkeypatch.setattr(os, "open", failing(OSError(errno.ENOSPC, "No space left on device")))
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
from noiseproof.core.storage.files import append_lines
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
append_lines(sys.argv[1], ["one"])
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
try:
    append_lines(sys.argv[1], ["x" * 20_000])
except OSError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
append_lines(sys.argv[1], ["two"])
"""


def test_of_a_line_that_did_not_fit_nothing_stays(tmp_path):
    path = tmp_path / "rows.jsonl"
    run = subprocess.run(
        [sys.executable, "-c", _UP_TO_A_LIMIT, str(path)], capture_output=True, text=True, check=True
    )
    assert "The largest file size that is allowed in" in run.stdout
    assert "is reached while writing 'rows.jsonl'" in run.stdout
    assert path.read_text() == "one\ntwo\n"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on the device of"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "The disk quota of"),
        (OSError(errno.EFBIG, "File too large"), "The largest file size that is allowed in"),
        (SafetensorError("Error while serializing: I/O error: File too large (os error 27)"), "The largest"),
        (OSError("Error writing bytes to file. Detail: [errno 28] No space left on device"), "No space left"),
    ],
)
def test_a_full_disk_is_one_sentence_whichever_library_meets_it(error, reason, tmp_path):
    with pytest.raises(NoSpaceLeft, match=rf"{reason} .* while writing 'model'; .* Next: free"):
        write_failing(tmp_path / "model", error)
    assert names(tmp_path) == []


def write_failing(path, error):
    with files.replacing(path):
        raise error


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "Permission denied", "/data/image.png")])
def test_a_file_that_cannot_be_read_meanwhile_is_not_taken_for_the_one_written(error, tmp_path):
    with pytest.raises(PermissionError) as caught:
        write_failing(tmp_path / "copy.tar", error)
    assert caught.value is error


def test_a_long_name_has_a_temporary_one_that_fits(tmp_path):
    files.write_bytes(tmp_path / ("ä" * 127), b"x")
    assert names(tmp_path) == ["ä" * 127]
    with pytest.raises(CannotWrite, match="cannot be written"):
        files.write_bytes(tmp_path / ("a" * 300), b"x")


# Locks and what kills leave


def unfinished(folder: Path) -> Path:
    """As a kill leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".noiseproof.model.safetensors.0123abcd.partial"
    path.write_bytes(b"half")
    return path


def test_whoever_locks_a_folder_deletes_what_killed_processes_left(tmp_path):
    left = [unfinished(tmp_path / place) for place in ("", "heads", ".stages/waiting/noise")]
    (tmp_path / ".noiseproof.waiting.0123abcd.partial").mkdir()
    (tmp_path / ".noiseproof.waiting.0123abcd.partial" / "file").write_bytes(b"half")
    own = [tmp_path / name for name in (".download.partial", "notes.partial", "heads/.x.0123abcd.partial")]
    for path in own:
        path.write_bytes(b"of the user")
    with files.locked_folder(tmp_path):
        assert not any(path.exists() for path in left)
        assert names(tmp_path) == [".download.partial", ".lock", ".stages", "heads", "notes.partial"]
    assert all(path.read_bytes() == b"of the user" for path in own)


def test_a_folder_in_it_that_another_process_may_use_is_left_alone(tmp_path):
    with files.locked_folder(tmp_path / "training"):
        left = unfinished(tmp_path / "training")
        with files.locked_folder(tmp_path):
            assert left.exists()
    with files.locked_folder(tmp_path / "training"):
        assert not left.exists()


def test_links_are_not_followed(tmp_path):
    left = unfinished(tmp_path / "elsewhere")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "out" / left.name).symlink_to(left)
    with files.locked_folder(tmp_path / "out"):
        assert names(tmp_path / "out") == [".lock", "link"]
    assert left.exists()


def test_a_folder_in_use_is_refused_or_waited_for(tmp_path):
    with files.locked_folder(tmp_path):
        with pytest.raises(InvalidArgument, match=r"`store` is '.*', which another noiseproof is writing to"):
            lock(tmp_path, argument="store")
        released = []

        def waits():
            released.append(True)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            lock(tmp_path, on_wait=waits)
    assert released == [True]
    lock(tmp_path)


def lock(folder, **options):
    with files.locked_folder(folder, **options):
        pass


def test_a_disk_without_space_for_a_lock_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "mkdir", failing(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(NoSpaceLeft, match="No space left on the device of"):
        lock(tmp_path / "new")


def test_a_folder_that_was_deleted_is_whole_or_gone(tmp_path, monkeypatch):
    unfinished(tmp_path / "training")
    monkeypatch.setattr("shutil.rmtree", failing(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        files.delete_folder(tmp_path / "training")
    monkeypatch.undo()
    assert not (tmp_path / "training").exists()
    lock(tmp_path)
    assert names(tmp_path) == [".lock"]
