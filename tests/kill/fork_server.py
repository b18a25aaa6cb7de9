"""Runs the programs of `programs.py` in forks of one process that has imported everything once.

A request is a line of JSON on standard input: the name of a program, its two folders, and what happens to
the fork: see `Fate`. The answer is a line of JSON on standard output.
"""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import re
import resource
import signal
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR
_CREATING = ("open", "os.mkdir", "os.rename", "os.link")  # these need space


_DIFFERENT = r"[0-9a-f]{8,}|[0-9]+"  # in names, from start to start: random parts, hashes, numbers of steps


@dataclass(frozen=True)
class Fate:
    """What happens to a fork; by default it lives and has all the space it wants.

    Attributes:
        kill_at: kill it just before this file event: its number, from 1, or a pattern of "kind name".
        signal: by which it is killed.
        full_from: from this event on there is no space: what needs some raises the system's error.
        max_bytes: the largest size of a file.
    """

    kill_at: int | str | None = None
    signal: int = signal.SIGKILL
    full_from: int | None = None
    max_bytes: int | None = None


class FileEvents:
    """Counts what changes files in a folder and those beside it whose name begins alike, and brings the fate.

    On disk a process that is killed between two file events looks as if it had been killed just before the
    second, so these are all the points at which a kill can leave something new.
    """

    def __init__(self, folder: Path, fate: Fate) -> None:
        self.labels: list[str] = []
        self._prefix, self._fate = str(folder), fate
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            is_change = bool(flags & _WRITING if mode is None else set("wax+") & set(mode))
        else:
            is_change = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link")
            path = arguments[0] if is_change else None
        if not is_change or not isinstance(path, str | os.PathLike):
            return
        path = os.fspath(path)
        if not isinstance(path, str) or not path.startswith(self._prefix):
            return
        kind, name = event.removeprefix("os."), path.rpartition(os.sep)[2]
        self.labels.append(f"{kind} {re.sub(_DIFFERENT, '#', name)}")
        number, wanted = len(self.labels), self._fate.kill_at
        if wanted == number or (isinstance(wanted, str) and re.search(wanted, f"{kind} {name}")):
            sys.stdout.write(f"killed beside {len(multiprocessing.active_children())} workers\n")
            sys.stdout.flush()
            os.kill(os.getpid(), self._fate.signal)
        if self._fate.full_from and number >= self._fate.full_from and event in _CREATING:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


def _child(request: dict[str, Any], answer: int) -> None:
    """The whole life of a fork."""
    import programs

    os.setsid()  # so that whatever it starts is found by its session
    inputs, out, fate = Path(request["inputs"]), Path(request["out"]), Fate(**request["fate"])
    printed = os.open(f"{out}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    if fate.max_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (fate.max_bytes, resource.RLIM_INFINITY))
    code = 1
    events = FileEvents(out, fate)
    try:
        programs.PROGRAMS[request["program"]].run(inputs, out)
        code = 0
    except SystemExit as stop:  # a command that has printed why
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # noqa: BLE001 - the parent reads the reason from the file
        traceback.print_exc()
    os.write(answer, json.dumps(events.labels).encode())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _serve() -> None:
    import programs
    import torch

    from noiseproof.core.torchvision_ops import declare_missing_operators

    torch.set_num_threads(1)
    declare_missing_operators()
    for program in programs.PROGRAMS.values():
        with suppress(ImportError):  # a missing extra: its tests are skipped
            program.warm_up()
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        receiving, sending = os.pipe()
        process = os.fork()
        if process == 0:
            _child(request, sending)
        os.close(sending)
        with os.fdopen(receiving) as answers:
            labels = answers.read()
        _, status = os.waitpid(process, 0)
        answer = {
            "pid": process, "code": os.waitstatus_to_exitcode(status),
            "labels": json.loads(labels) if labels else None,
        }  # fmt: skip
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve()
