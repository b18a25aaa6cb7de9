"""Read decisions from a file of any known tool, recognised by its contents, and write `decisions.csv`."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from noiseproof.core.checksums import KEY, read_lines
from noiseproof.core.errors import BadData, MissingFile
from noiseproof.core.files import write_bytes
from noiseproof.core.json_text import BadJson, parse_json
from noiseproof.core.parquet import read_table
from noiseproof.core.plurals import counted
from noiseproof.core.regular_files import read_regular
from noiseproof.core.spreadsheet_cells import escaped
from noiseproof.data.formats.delimited import DELIMITERS, read_delimited
from noiseproof.decisions.decision_tables import answers_in_table
from noiseproof.decisions.json_exports import answers_in_json
from noiseproof.decisions.record import (
    COLUMNS,
    Answer,
    Decision,
    ReviewedExamples,
    to_decisions,
    unescaped_text,
)

DECISIONS, LOG = "decisions.csv", "decisions.jsonl"
_SUFFIXES = (*DELIMITERS, ".parquet", ".json", ".jsonl")
_IN_FOLDER = (DECISIONS, "samples.json", "labels.json")  # of exports that are folders
_REPAIR = "move this file away; decisions in decisions.csv are not lost"


def read_decisions(path: Path, examples: ReviewedExamples) -> list[Decision]:
    """The decisions in a file, checked against the examples.

    Args:
        path: `decisions.csv` of the review page or its log, an edited `label_issues.csv`, or an export of
            Label Studio, FiftyOne, cleanlab or Argilla; of an export that is a folder, the folder.
        examples: of the folder that was reviewed.

    Raises:
        MissingFile: no such file.
        BadData: it holds no decisions that are recognised, or some that do not fit the examples.
        DamagedFile: a line of a log has changed since it was written.
    """
    if path.is_dir():
        path = next((path / name for name in _IN_FOLDER if (path / name).is_file()), path / DECISIONS)
    if not path.is_file():
        raise MissingFile(f"`decisions` is {str(path)!r}, which is no file. Next: check the path.")
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        answers = _answers_in_log(path, examples)
    elif suffix == ".json":
        answers = answers_in_json(_json(path), examples, str(path))
    elif suffix in (*DELIMITERS, ".parquet"):
        answers = answers_in_table(_rows(path, suffix), examples, str(path))
    else:
        raise BadData(
            f"`decisions` is {str(path)!r}; allowed: a file that ends in {', '.join(_SUFFIXES)}. Next: "
            "export or save it as one of these, a spreadsheet as CSV."
        )
    decisions = to_decisions(answers, examples, str(path))
    if not (decisions or examples.may_have_others):
        raise BadData(
            f"{str(path)!r} has no decision: every label is as it was, and none has been confirmed. Next: "
            "fill in its column `decision` (accept, keep, relabel, exclude or unsure), or name another file."
        )
    return decisions


def read_kept(folder: Path, examples: ReviewedExamples) -> list[Decision]:
    """The decisions that a folder keeps, of `decisions.csv` and of the log of its review.

    A row of the table that its person changed or took back later, by the log, is left out; lines of the log
    about other data or labels are, too.

    Raises:
        BadData, DamagedFile: as `read_decisions`.
    """
    table = folder / DECISIONS
    of_table = read_decisions(table, examples) if table.is_file() else []
    lines = _own_lines(folder, examples)
    last = {(one.answer.example, one.answer.who.strip()): one.answer.when for one in lines}
    of_log = read_log(folder, examples)
    kept, known = [], set(of_log)
    for one in of_table:
        person = (one.example_id, one.who)
        if one in known:
            last.pop(person, None)  # rows that follow were added after that line of the log
        if not _is_before(one, last.get(person)):
            kept.append(one)
    return list(dict.fromkeys([*kept, *of_log]))


def read_log(folder: Path, examples: ReviewedExamples) -> list[Decision]:
    """The decisions about these labels that people made on the page of a folder, by its log."""
    return to_decisions(_standing(_own_lines(folder, examples)), examples, str(folder / LOG))


def _own_lines(folder: Path, examples: ReviewedExamples) -> list[_LogLine]:
    lines = _log_lines(folder / LOG) if (folder / LOG).is_file() else []
    return [one for one in lines if one.identity in (None, examples.identity)]


def _is_before(one: Decision, when: str | None) -> bool:
    """Whether its person decided at this time, which is no earlier; a decision without a time is before."""
    if when is None:
        return False
    later = replace(one, when=when).time
    return one.time is None or later is None or one.time <= later


def time_of_files(paths: Iterable[Path]) -> datetime:
    """When the latest of these files or folders was written: the time of their rows that have none.

    The present would be another one after a kill.
    """
    written = [path.stat().st_mtime for path in paths if path.exists()]
    return datetime.fromtimestamp(int(max(written, default=time.time())), UTC)


def keep_decisions(folder: Path, decisions: Iterable[Decision], examples: ReviewedExamples) -> Path:
    """Write `decisions.csv` of a folder, none without a decision; its rows about other examples stay."""
    path = folder / DECISIONS
    answers = answers_in_table(_rows(path, ".csv"), examples, str(path)) if path.is_file() else []
    others = [
        Decision(
            unescaped_text(one.example),
            one.decision,
            unescaped_text(one.label),
            unescaped_text(one.who),
            one.when,
        )
        for one in answers
        if examples.find(one.example) is None
    ]
    rows = [*others, *decisions]
    if rows:
        write_decisions(path, rows)
    else:  # all were taken back
        path.unlink(missing_ok=True)
    return path


def write_decisions(path: Path, decisions: Iterable[Decision]) -> None:
    """Write `decisions.csv`: a row per decision, also of those that no longer count."""
    rows = ([getattr(one, name) for name in COLUMNS] for one in decisions)
    write_bytes(path, spreadsheet(COLUMNS, rows))


def spreadsheet(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """A CSV in the style of `label_issues.csv`: every text quoted and escaped, with a byte order mark."""
    text = io.StringIO(newline="")
    out = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    out.writerow(columns)
    out.writerows([escaped(str(cell)) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def _rows(path: Path, suffix: str) -> Sequence[dict[str, Any]]:
    """The rows of a table, cells of a delimited one as texts."""
    if suffix == ".parquet":
        return read_table(path).to_pylist()
    table = read_delimited(path, str(path))
    if tuple(table.schema.names) == COLUMNS and not _ends_its_last_line(path):
        raise BadData(
            f"The last line of {str(path)!r} has no end, so the file seems to be cut; allowed: a whole file. "
            "Next: export it again, or, if it is whole, add a line break at its end."
        )
    return table.to_pylist()


def _ends_its_last_line(path: Path) -> bool:
    return read_regular(path).endswith((b"\n", b"\r", b"\0"))  # the latter in UTF-16


def _json(path: Path) -> Any:
    try:
        return parse_json(read_regular(path), allows_nan=True)
    except BadJson as error:
        raise BadData(
            f"{str(path)!r} cannot be read: {error}. Allowed: a whole JSON file. Next: export it again."
        ) from error


@dataclass(frozen=True)
class _LogLine:
    """An answer in a log, and the identity of what it is about; `None` where the log does not have it."""

    answer: Answer
    identity: str | None


def _answers_in_log(path: Path, examples: ReviewedExamples) -> list[Answer]:
    """Answers in the log of `noiseproof review --serve`."""
    lines = _log_lines(path)
    own = [one for one in lines if one.identity in (None, examples.identity)]
    if lines and not own:
        raise BadData(
            f"{str(path)!r} has {counted(len(lines), 'decision')}, about other examples or labels only; "
            "allowed: the log of this data. Next: name the folder that they were made in, or its "
            f"{DECISIONS}, which has the ids only."
        )
    return _standing(own)


def _log_lines(path: Path) -> list[_LogLine]:
    """The lines of a log: a JSON object with a checksum each."""
    found = []
    for number, line in enumerate(read_lines(path, next_step=_REPAIR), start=1):
        values = {name: line.get(name) or "" for name in COLUMNS}
        if "example_id" not in line or not all(isinstance(each, str) for each in values.values()):
            raise BadData(
                f"Line {number} of {str(path)!r} is no decision; allowed: objects with the keys "
                f"{', '.join(COLUMNS)} and {KEY}. Next: delete that line."
            )
        answer = Answer(values.pop("example_id"), **values, place=f"Line {number}")
        found.append(_LogLine(answer, line.get("identity")))
    return found


def _standing(lines: Iterable[_LogLine]) -> list[Answer]:
    """The last answer of each person about each example, unless it took back what was decided before."""
    last: dict[tuple[str, str], Answer] = {}
    for one in (line.answer for line in lines):
        last.pop((one.example, one.who), None)
        last[one.example, one.who] = one
    return [one for one in last.values() if one.decision]
