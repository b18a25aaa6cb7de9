"""Read decisions from a file of any known tool, recognised by its contents, and write `decisions.csv`."""

from __future__ import annotations

import csv
import io
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from noiseproof.core.errors import BadData, MissingFile
from noiseproof.core.plurals import counted
from noiseproof.core.storage.checksums import KEY, read_lines, to_line
from noiseproof.core.storage.documents import check_schema
from noiseproof.core.storage.files import write_bytes
from noiseproof.core.storage.json_text import BadJson, parse_json
from noiseproof.core.storage.parquet import read_table
from noiseproof.core.storage.regular_files import read_regular
from noiseproof.core.storage.spreadsheet_cells import escaped
from noiseproof.data.formats.delimited import DELIMITERS, read_delimited
from noiseproof.decisions.decision_tables import answers_in_table
from noiseproof.decisions.json_exports import answers_in_json
from noiseproof.decisions.record import (
    ABOUT,
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
_NUM_NAMED = 3
_LOG_SCHEMA = 1  # of a line
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
    decisions = to_decisions(_answers(path, examples), examples, str(path))
    if not (decisions or examples.may_have_others):
        raise BadData(
            f"{str(path)!r} has no decision: every label is as it was, and none has been confirmed. Next: "
            "fill in its column `decision` (accept, keep, relabel, exclude or unsure), or name another file."
        )
    return decisions


def _answers(path: Path, examples: ReviewedExamples) -> list[Answer]:
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        return _answers_in_log(path, examples)
    if suffix == ".json":
        return answers_in_json(_json(path), examples, str(path))
    if suffix in (*DELIMITERS, ".parquet"):
        return answers_in_table(_rows(path, suffix), examples, str(path))
    raise BadData(
        f"`decisions` is {str(path)!r}; allowed: a file that ends in {', '.join(_SUFFIXES)}. Next: "
        "export or save it as one of these, a spreadsheet as CSV."
    )


def read_kept(folder: Path, examples: ReviewedExamples) -> list[Decision]:
    """The decisions that a folder keeps, of `decisions.csv` and of the log of its review.

    A row of the table that its person changed or took back later, by the log, is left out; so are lines of
    the log about other data or labels, and rows of the table about examples or labels that changed since, see
    `describe_others`. Decisions that the data bring along count where the folder has none on the example.

    Raises:
        BadData, DamagedFile: as `read_decisions`.
    """
    table = folder / DECISIONS
    own, _, _ = _divided(table, examples)
    of_table = to_decisions(own, examples, str(table))
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
    found = list(dict.fromkeys([*kept, *of_log]))
    decided = {one.example_id for one in found}
    return [*(one for one in examples.brought if one.example_id not in decided), *found]


def describe_others(folder: Path, examples: ReviewedExamples) -> list[str]:
    """Notes on rows of `decisions.csv` of a folder that are not about these examples or labels."""
    _, changed, absent = _divided(folder / DECISIONS, examples)
    lines = []
    if changed:
        verb, they = ("does", "it is") if len(changed) == 1 else ("do", "they are")
        some = f"{changed[0].example!r} {examples.change_since(changed[0])}"
        lines.append(
            f"{counted(len(changed), 'decision')} in {DECISIONS} {verb} not count, since {they} about data "
            f"that changed: {some}{_more(changed, 1)}. Next: decide again, or delete these rows."
        )
    if absent:
        verb, names = "is" if len(absent) == 1 else "are", [repr(one.example) for one in absent[:_NUM_NAMED]]
        lines.append(
            f"{counted(len(absent), 'decision')} in {DECISIONS} {verb} about examples that the data do not "
            f"have: {', '.join(names)}{_more(absent, _NUM_NAMED)}."
        )
    return lines


def _more(some: Sequence[Answer], num_named: int) -> str:
    return f" and {len(some) - num_named:,} more" if len(some) > num_named else ""


def _divided(table: Path, examples: ReviewedExamples) -> tuple[list[Answer], list[Answer], list[Answer]]:
    """Rows of `decisions.csv`: about these examples, about what changed since, and about other examples."""
    own: list[Answer] = []
    changed: list[Answer] = []
    absent: list[Answer] = []
    rows = _rows(table, ".csv", may_be_empty=True) if table.is_file() else ()
    for one in answers_in_table(rows, examples, str(table)) if rows else ():
        if not (one.decision.strip() or one.label.strip()):
            continue
        is_absent = examples.find(one.example) is None
        (absent if is_absent else changed if examples.change_since(one) else own).append(one)
    return own, changed, absent


def read_log(folder: Path, examples: ReviewedExamples) -> list[Decision]:
    """The decisions about these labels that people made on the page of a folder, by its log."""
    return to_decisions(_standing(_own_lines(folder, examples)), examples, str(folder / LOG))


def _standing(lines: Iterable[LogLine]) -> list[Answer]:
    """The last answers but those that took something back."""
    return [one for one in last_answers(lines) if one.decision]


def _own_lines(folder: Path, examples: ReviewedExamples) -> list[LogLine]:
    lines = read_log_lines(folder / LOG) if (folder / LOG).is_file() else []
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
    """Write `decisions.csv` of a folder, none without a decision.

    Its rows about other examples or labels stay; decisions that the data bring along are left out.
    """
    path = folder / DECISIONS
    _, changed, absent = _divided(path, examples)
    names = [each.name for each in fields(Decision) if each.name != "example_id"]
    others = [
        Decision(unescaped_text(one.example), **{name: unescaped_text(getattr(one, name)) for name in names})
        for one in (*absent, *changed)
    ]
    brought = set(examples.brought)
    rows = [*others, *(one for one in decisions if one not in brought)]
    if rows:
        write_decisions(path, rows)
    else:  # all were taken back
        path.unlink(missing_ok=True)
    return path


def write_decisions(path: Path, decisions: Iterable[Decision]) -> None:
    """Write `decisions.csv`: a row per decision, also of those that no longer count."""
    columns = (*COLUMNS, *ABOUT)
    rows = ([getattr(one, name) for name in columns] for one in decisions)
    write_bytes(path, spreadsheet(columns, rows))


def spreadsheet(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """A CSV in the style of `label_issues.csv`: every text quoted and escaped, with a byte order mark."""
    text = io.StringIO(newline="")
    out = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    out.writerow(columns)
    out.writerows([escaped(str(cell)) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def _rows(path: Path, suffix: str, *, may_be_empty: bool = False) -> Sequence[dict[str, Any]]:
    """The rows of a table, cells of a delimited one as texts."""
    if suffix == ".parquet":
        return read_table(path).to_pylist()
    table = read_delimited(path, str(path))
    twice = [name for name, num in Counter(table.schema.names).items() if num > 1]
    if twice:
        raise BadData(
            f"{str(path)!r} has two columns called {twice[0]!r}; allowed: one of each name. Next: delete or "
            "rename one."
        )
    if not (table.num_rows or may_be_empty):
        raise BadData(
            f"{str(path)!r} has a header and no rows; allowed: a row for each decision. Next: decide about "
            "examples and save that file, or name another one."
        )
    if tuple(table.schema.names[: len(COLUMNS)]) == COLUMNS and not _ends_its_last_line(path):
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
class LogLine:
    """One line of the log of a review; nothing is ever changed in it.

    Attributes:
        answer: of a person; without a word it took back what the person had decided.
        identity: of what it is about; `None` where the log does not have it.
    """

    answer: Answer
    identity: str | None


def _answers_in_log(path: Path, examples: ReviewedExamples) -> list[Answer]:
    """Answers in the log of `noiseproof review --serve`."""
    lines = read_log_lines(path)
    own = [one for one in lines if one.identity in (None, examples.identity)]
    if lines and not own:
        raise BadData(
            f"{str(path)!r} has {counted(len(lines), 'decision')}, about other examples or labels only; "
            "allowed: the log of this data. Next: name the folder that they were made in, or its "
            f"{DECISIONS}, which has the ids only."
        )
    return _standing(own)


def read_log_lines(path: Path) -> list[LogLine]:
    """The lines of a log: a JSON object with a checksum each.

    Raises:
        OtherSchema: another version of noiseproof wrote a line.
        DamagedFile: a line has changed since.
        BadData: a line is no decision.
    """
    found = []
    for number, line in enumerate(read_lines(path, next_step=_REPAIR), start=1):
        check_schema(line, _LOG_SCHEMA, source=f"line {number} of {path}", next_step=_REPAIR)
        values = {name: line.get(name) or "" for name in COLUMNS}
        if "example_id" not in line or not all(isinstance(each, str) for each in values.values()):
            raise BadData(
                f"Line {number} of {str(path)!r} is no decision; allowed: objects with the keys "
                f"{', '.join(COLUMNS)} and {KEY}. Next: delete that line."
            )
        answer = Answer(values.pop("example_id"), **values, place=f"Line {number}")
        found.append(LogLine(answer, line.get("identity")))
    return found


def log_text(line: LogLine) -> str:
    """A line as it stands in a log, without its end."""
    answer = line.answer
    values = {"example_id": answer.example} | {name: getattr(answer, name) for name in COLUMNS[1:]}
    return to_line({"schema": _LOG_SCHEMA, "identity": line.identity, **values})


def last_answers(lines: Iterable[LogLine]) -> list[Answer]:
    """The last answer of each person about each example, in the order they came."""
    last: dict[tuple[str, str], Answer] = {}
    for one in (line.answer for line in lines):
        last.pop((one.example, one.who), None)
        last[one.example, one.who] = one
    return list(last.values())
