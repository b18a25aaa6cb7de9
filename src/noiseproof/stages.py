"""Which stages of a run are finished, on disk, so that a second start goes on where the first stopped."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

import noiseproof
from noiseproof.atomic import write_json
from noiseproof.errors import InvalidArgument

SCHEMA = 1
_FOLDER = ".stages"


def digest(value: Any) -> str:
    """SHA-256 of plain values and arrays, the same in every process."""
    if isinstance(value, np.ndarray):
        head = f"{value.dtype.str}{value.shape}".encode()
        return hashlib.sha256(head + np.ascontiguousarray(value).tobytes()).hexdigest()
    text = json.dumps(value, sort_keys=True, default=_digest_or_text, allow_nan=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Stages:
    """The finished stages of one run folder.

    A stage has a key, the hash of everything its result depends on, and files it leaves. Its marker is
    written after the files, so its existence means they are complete; a marker with another key, or files
    that are not what was written, mean the stage is done again.

    Args:
        folder: the run folder, made if need be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wall_s: dict[str, float] = {}
        self.redone: list[str] = []
        self._used: set[str] = set()
        (folder / _FOLDER).mkdir(parents=True, exist_ok=True)

    def once(
        self,
        name: str,
        *,
        depends_on: Any,
        make: Callable[[], Iterable[str]],
        title: str = "",
        spent_s: float = 0.0,
    ) -> str:
        """Do a stage unless it is finished; its wall time is that of the start that did it.

        Args:
            name: of the stage, unique in the run.
            depends_on: everything the result depends on, plain values and arrays.
            make: does the work and writes files; returns their names, relative to the run folder.
            title: under which the wall time counts; stages may share one.
            spent_s: time the stage took before this call.

        Returns:
            The key, for stages that depend on this one.
        """
        key = digest({"schema": SCHEMA, "version": noiseproof.__version__, "name": name, "on": depends_on})
        self._used.add(name)
        marker = self._read(name)
        if marker is None or marker["key"] != key or not self._is_intact(marker["files"]):
            if marker is not None:
                self.redone.append(title or name)
                self._forget(name, marker)
            begin = time.perf_counter()
            files = list(make())
            wall_s = time.perf_counter() - begin + spent_s
            hashes = {file: _hash_of(self.folder / file) for file in files}
            marker = {"key": key, "wall_s": wall_s, "files": hashes}
            write_json(self._marker(name), marker)
        self.wall_s[title or name] = self.wall_s.get(title or name, 0.0) + marker["wall_s"]
        return key

    def forget_the_rest(self) -> list[str]:
        """Delete what stages left that are not part of this run any more; their names."""
        names = sorted(path.stem for path in (self.folder / _FOLDER).glob("*.json"))
        stale = [name for name in names if name not in self._used]
        for name in stale:
            self._forget(name, self._read(name) or {"files": {}})
        return stale

    def _marker(self, name: str) -> Path:
        return self.folder / _FOLDER / f"{name}.json"

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            marker = json.loads(self._marker(name).read_text())
            return marker if {"key", "wall_s", "files"} <= marker.keys() else None
        except (OSError, ValueError, AttributeError):
            return None

    def _is_intact(self, files: dict[str, str]) -> bool:
        paths = {self.folder / file: known for file, known in files.items()}
        return all(path.is_file() and _hash_of(path) == known for path, known in paths.items())

    def _forget(self, name: str, marker: dict[str, Any]) -> None:
        self._marker(name).unlink(missing_ok=True)  # first: without it the files count for nothing
        for file in marker["files"]:
            (self.folder / file).unlink(missing_ok=True)


@contextmanager
def only_process_in(folder: Path) -> Iterator[None]:
    """Hold the folder against a second process.

    Raises:
        InvalidArgument: another process is writing into it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InvalidArgument(
            f"`out` is {str(folder)!r}, which another noiseproof is writing to; allowed: one at a time. "
            "Next: wait for it, or name another folder."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _digest_or_text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return digest(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be part of a key")


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
