"""Starts forks of `fork_server.py` and reads what they left."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from programs import PROGRAMS

SERVER = Path(__file__).parent / "fork_server.py"
_SLOW = (
    "spectrum", "report", "service-extraction", "deft", "finetune-cross_entropy", "finetune-elr",
    "pretrain-stream", "pretrain-simclr", "pretrain-image-text", "study", "study-of-tunings", "demo",
    "review", "predict", "export",
)  # fmt: skip
NAMES = [
    name if name not in _SLOW else pytest.param(name, marks=pytest.mark.slow) for name in PROGRAMS
]  # for tests of every program


class Start:
    """A fork of the server that has ended.

    Attributes:
        pid: its process id, which is that of its session.
        code: exit code; minus the signal that killed it.
        labels: kinds of its file events, unless it was killed.
        printed: its output and errors.
    """

    def __init__(self, answer: dict[str, Any], out: Path) -> None:
        self.pid, self.code, self.labels = answer["pid"], answer["code"], answer["labels"]
        self.printed = Path(f"{out}.txt").read_text()

    @property
    def was_killed(self) -> bool:
        """Whether it was; otherwise it came to its end."""
        assert self.code in (0, -signal.SIGKILL), self.printed
        return self.code != 0

    def processes_left(self) -> list[str]:
        """Processes that it started and that are still running."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                state, _, _, number, *_ = path.read_text().rpartition(")")[2].split()
                found += [path.parent.name] if int(number) == self.pid and state != "Z" else []
        return found


class Server:
    """A process that has imported everything once."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Server:
        self._process.__enter__()
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *error: object) -> None:
        self._process.stdin.close()
        self._process.__exit__(*error)

    def start(self, name: str, inputs: Path, out: Path, **fate: Any) -> Start:
        """Run a program to its end, or to its fate, see `fork_server.Fate`."""
        request = {"program": name, "inputs": str(inputs), "out": str(out), "fate": fate}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Start(json.loads(self._process.stdout.readline()), out)


def finished(server: Server, name: str, inputs: Path, out: Path) -> dict[str, Any]:
    """Results after a last start that nothing disturbs; it leaves no temporary file."""
    last = server.start(name, inputs, out)
    assert last.code == 0, last.printed
    for folder in (out, Path(f"{out}-cache"), Path(f"{out}-issues")):
        assert not leftovers(folder)
    return PROGRAMS[name].found(out)


def explained(printed: str) -> bool:
    """Whether a command without space ended with one sentence, and with the next step."""
    lines = [line for line in printed.splitlines() if "while writing" in line]
    return len(lines) == 1 and "Next: free some space" in lines[0] and "Traceback" not in printed


def leftovers(folder: Path) -> list[Path]:
    """Temporary files and folders of ours, and of safetensors, in a folder."""
    return [path for path in folder.rglob(".*") if re.match(r"\.noiseproof\..*\.partial$|\.tmp", path.name)]


def kinds_of_events(labels: list[str]) -> dict[str, str]:
    """Kind of event -> pattern that finds it, each once, in their order."""
    return {
        label: "^" + re.escape(label).replace(re.escape("#"), "[0-9a-f]+") + "$"
        for label in dict.fromkeys(labels)
    }


def different(found: Any, expected: Any, name: str = "") -> list[str]:
    """Places where two results differ; empty where they are the same."""
    if isinstance(found, dict) and isinstance(expected, dict):
        names = sorted(found.keys() | expected.keys())
        return [place for each in names for place in different(
            found.get(each, "nothing"), expected.get(each, "nothing"), f"{name}/{each}"
        )]  # fmt: skip
    if found == expected:
        return []
    values = (
        (f"{found!r:.200}", f"{expected!r:.200}") if not isinstance(found, bytes) else ("other bytes", "")
    )
    return [f"{name}: {' instead of '.join(values)}"]
