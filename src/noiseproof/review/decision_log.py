"""Decisions of people about labels, a line each, in `decisions.jsonl`; and `decisions.csv`, made of them.

A line is added and synced before its sender hears that it is kept, and nothing is ever changed: a decision
that was taken back is a line with an empty `decision`.
"""

from __future__ import annotations

import csv
import io
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

from noiseproof.core.checksums import read_lines, to_line
from noiseproof.core.documents import Document, validate_document
from noiseproof.core.files import append_lines, whole_lines, write_bytes
from noiseproof.core.inner_paths import inner_path
from noiseproof.core.spreadsheet_cells import escaped
from noiseproof.decisions.record import COLUMNS

LOG, TABLE = "decisions.jsonl", "decisions.csv"
_NEXT = "delete the line that is named, or move the file away"


class LogLine(Document):
    """One line of the log.

    Attributes:
        identity: of the data and labels that the decision is about.
        example_id: of the example.
        decision: one of `WORDS`; empty where the person took a decision back.
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

    def row(self) -> dict[str, str]:
        """The values of `decisions.csv`."""
        return {name: getattr(self, name) for name in COLUMNS}


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

    def since(self, number: int) -> tuple[int, list[dict[str, str]]]:
        """How many lines there are, and the rows after the first `number`; for 0 those that stand."""
        with self._guard:
            rows = [line.row() for line in self._lines[number:]] if number else self.standing()
            return len(self._lines), rows

    def standing(self) -> list[dict[str, str]]:
        """The last decision of each person about each example, unless it was taken back; oldest first."""
        last: dict[tuple[str, str], LogLine] = {}
        for line in self._lines:
            last.pop((line.example_id, line.who), None)
            last[line.example_id, line.who] = line
        return [line.row() for line in last.values() if line.decision]


def write_decisions(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """Write `decisions.csv` in the style of `label_issues.csv`: quoted, escaped, for spreadsheets."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([escaped(row[name]) for name in COLUMNS] for row in rows)
    write_bytes(path, out.getvalue().encode("utf-8-sig", errors="surrogateescape"))
