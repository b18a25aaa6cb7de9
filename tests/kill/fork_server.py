"""Runs the programs of `programs.py` in forks of one process that has imported everything once.

A request is a line of JSON on standard input: the name of a program, its two folders, and, where the fork
is to be killed, the file event before which that happens. The answer is a line of JSON on standard output.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR


class FileEvents:
    """Counts what changes files below a folder, and kills the process just before one of these changes.

    On disk a process that is killed between two file events looks as if it had been killed just before the
    second, so these are all the points at which a kill can leave something new.

    Args:
        folder: where changes count.
        kill_at: the number of the event, from 1, or a pattern of the file name; None lets it live.
    """

    def __init__(self, folder: Path, kill_at: int | str | None) -> None:
        self.number = 0
        self._prefix = f"{folder}{os.sep}"
        self._kill_at = kill_at
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
        self.number += 1
        wanted, name = self._kill_at, path.rpartition(os.sep)[2]
        if wanted == self.number or (isinstance(wanted, str) and re.search(wanted, name)):
            sys.stdout.write(f"killed beside {len(multiprocessing.active_children())} workers\n")
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)


def _child(request: dict[str, Any], answer: int) -> None:
    """The whole life of a fork."""
    import programs

    os.setsid()  # so that whatever it starts is found by its session
    inputs, out = Path(request["inputs"]), Path(request["out"])
    said = os.open(f"{out}.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(said, 1)
    os.dup2(said, 2)
    code = 1
    try:
        events = FileEvents(out, request["kill_at"])
        programs.PROGRAMS[request["program"]].run(inputs, out)
        os.write(answer, str(events.number).encode())
        code = 0
    except BaseException:  # noqa: BLE001 - the parent reads the reason from the file
        traceback.print_exc()
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
            num_events = answers.read()
        _, status = os.waitpid(process, 0)
        answer = {
            "pid": process, "code": os.waitstatus_to_exitcode(status),
            "num_events": int(num_events) if num_events else None,
        }  # fmt: skip
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve()
