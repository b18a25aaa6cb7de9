"""Decisions of people about labels, a line each, in `decisions.jsonl`.

A line is added and synced before its sender hears that it is kept, and nothing is ever changed: a decision
that was taken back is a line with an empty `decision`.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from noiseproof.core.storage.files import append_lines, whole_lines
from noiseproof.core.storage.inner_paths import inner_path
from noiseproof.decisions.decision_files import LOG, LogLine, last_answers, log_text, read_log_lines
from noiseproof.decisions.record import Answer, Decision


class DecisionLog:
    """The decisions in a folder about one state of its data; threads may share it.

    Args:
        folder: of `detect` or `run`.
        identity: of its page; decisions of another one stay in the file and are not shown.

    Raises:
        DamagedFile: a line has changed.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self._path = inner_path(folder, LOG)
        self._identity, self._guard = identity, threading.Lock()
        found = read_log_lines(self._path) if self._path.exists() else []
        self._lines = [line for line in found if line.identity == identity]

    def mend(self) -> None:
        """Delete what a kill left of the last line; only where nobody else writes."""
        if self._path.exists():
            os.truncate(self._path, len(whole_lines(self._path)))

    def append(self, example_id: str, decision: str, *, label: str, who: str, when: str) -> None:
        """Keep a decision; it is on disk when this returns."""
        line = LogLine(Answer(example_id, decision, label, who, when), self._identity)
        with self._guard:
            append_lines(self._path, [log_text(line)])
            self._lines.append(line)

    def since(self, number: int) -> tuple[int, list[Decision]]:
        """How many lines there are, and the decisions after the first `number`.

        For 0 the last one of each person about each example, oldest first; an empty one was taken back.
        """
        with self._guard:
            later = [line.answer for line in self._lines[number:]] if number else last_answers(self._lines)
            return len(self._lines), [
                Decision(one.example, one.decision, one.label, one.who, one.when) for one in later
            ]
