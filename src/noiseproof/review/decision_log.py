"""Decisions of people about labels, a line each, in `decisions.jsonl`.

A line is added and synced before its sender hears that it is kept, and nothing is ever changed: a decision
that was taken back is a line with an empty `decision`.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import ClassVar

from noiseproof.core.storage.checksums import read_lines, to_line
from noiseproof.core.storage.documents import Document, validate_document
from noiseproof.core.storage.files import append_lines, whole_lines
from noiseproof.core.storage.inner_paths import inner_path
from noiseproof.decisions.decision_files import LOG
from noiseproof.decisions.record import COLUMNS, Decision

_NEXT = "delete the line that is named, or move the file away"


class LogLine(Document):
    """One line of the log.

    Attributes:
        identity: of the data and labels that the decision is about.
        example_id: of the example.
        decision: one of `decisions.record.WORDS`; empty where the person took a decision back.
        label: name of the class that the example has by this decision; empty for exclude and unsure.
        who: name of the person; may be empty.
        when: ISO 8601, UTC.
    """

    SCHEMA: ClassVar[int] = 1
    identity: str
    example_id: str
    decision: str
    label: str = ""
    who: str = ""
    when: str

    def to_decision(self) -> Decision:
        """The decision as other rooms know it."""
        return Decision(**{name: getattr(self, name) for name in COLUMNS})


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
        self._lines: list[LogLine] = []
        if self._path.exists():
            lines = read_lines(self._path, next_step=_NEXT)
            source = str(self._path)
            found = [validate_document(line, LogLine, source=source, next_step=_NEXT) for line in lines]
            self._lines = [line for line in found if line.identity == identity]

    def mend(self) -> None:
        """Delete what a kill left of the last line; only where nobody else writes."""
        if self._path.exists():
            os.truncate(self._path, len(whole_lines(self._path)))

    def append(self, example_id: str, decision: str, *, label: str, who: str, when: str) -> None:
        """Keep a decision; it is on disk when this returns."""
        line = LogLine(
            identity=self._identity, example_id=example_id, decision=decision, label=label, who=who, when=when
        )
        with self._guard:
            append_lines(self._path, [to_line(line.to_json())])
            self._lines.append(line)

    def since(self, number: int) -> tuple[int, list[Decision]]:
        """How many lines there are, and the decisions after the first `number`.

        For 0 the last one of each person about each example, oldest first; an empty one was taken back.
        """
        with self._guard:
            later = self._lines[number:] if number else self._last()
            return len(self._lines), [line.to_decision() for line in later]

    def _last(self) -> list[LogLine]:
        last: dict[tuple[str, str], LogLine] = {}
        for line in self._lines:
            last.pop((line.example_id, line.who), None)
            last[line.example_id, line.who] = line
        return list(last.values())
