"""CSV, TSV and JSON lines. The table is kept in memory (texts, paths and labels); images are not."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from noiseproof.core.errors import BadData
from noiseproof.core.records import LabelledDataset
from noiseproof.core.storage.json_text import BadJson, parse_json
from noiseproof.core.storage.regular_files import open_regular
from noiseproof.core.storage.spreadsheet_cells import unescaped
from noiseproof.data.formats.delimited import DELIMITERS, check_utf8, delimiter_of, read_delimited
from noiseproof.data.formats.labelled_tables import table_dataset
from noiseproof.data.formats.table_access import LabelledTable, table_in_memory
from noiseproof.data.request import Request

_OF_ISSUES = {"example_id", "given_label", "suggested_label", "suspicion", "is_issue"}  # label_issues.csv
_TEXTS_OF_ISSUES = {"example_id", "given_label", "suggested_label", "clean_label"}


def open_text_table(address: str, request: Request) -> LabelledDataset:
    """Values separated by commas, semicolons or tabs under a header line, or a JSON object per line.

    Every cell of the former is a text, so "NA" is a word; blank lines of the latter are passed over.
    """
    return table_dataset(text_table(Path(address), request.name), request)


def text_table(path: Path, owner: str) -> LabelledTable:
    """The table of one of these files."""
    return table_in_memory(read_text_table(path, owner), folder=path.parent, stem=path.stem)


def read_text_table(path: Path, owner: str) -> pa.Table:
    """Read a whole text file in the format of its suffix; a `label_issues.csv` without its escapes."""
    if path.suffix.lower() not in DELIMITERS:
        return read_json_lines(path, owner)
    table = read_delimited(path, owner)
    return _unescaped(table) if set(table.schema.names) >= _OF_ISSUES else table


def write_text_table(table: pa.Table, path: Path, origin: Path) -> None:
    """Write a table in the format of another file, by its suffix and its delimiter."""
    with path.open("w", encoding="utf-8", newline="") as file:
        if origin.suffix.lower() in DELIMITERS:
            rows = csv.writer(file, delimiter=delimiter_of(origin), lineterminator="\n")
            rows.writerow(table.schema.names)
            rows.writerows(zip(*(column.to_pylist() for column in table.columns), strict=True))
        else:
            lines = (json.dumps(row, ensure_ascii=False, default=str) for row in table.to_pylist())
            file.writelines(f"{line}\n" for line in lines)


def _unescaped(table: pa.Table) -> pa.Table:
    """The texts of a `label_issues.csv` without the apostrophes that are there for spreadsheets."""
    for place, name in enumerate(table.schema.names):
        if name in _TEXTS_OF_ISSUES:
            table = table.set_column(place, name, unescaped(table.column(place)))
    return table


def read_json_lines(path: Path, owner: str) -> pa.Table:
    """A table with a column per key that occurs.

    Raises:
        BadData: a line is no JSON object; it is named.
    """
    rows = []
    try:
        with open_regular(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    rows.append(_parse(line, number, owner))
    except UnicodeDecodeError:
        check_utf8(path, owner)
        raise
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: _column([row.get(name) for row in rows], name, owner) for name in names})


def _parse(line: str, number: int, owner: str) -> dict[str, object]:
    try:
        row = parse_json(line, allows_nan=True)
    except BadJson as error:
        raise BadData(f"Line {number} of {owner!r} is no JSON ({error}). Next: correct that line.") from error
    if not isinstance(row, dict):
        raise BadData(
            f"Line {number} of {owner!r} holds {row!r:.40}; allowed: an object per line. "
            "Next: correct that line."
        )
    return row


def _column(values: Sequence[object], name: str, owner: str) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise BadData(
            f"Column {name!r} of {owner!r} mixes types ({error}). Allowed: one type per column. "
            "Next: write all its values alike."
        ) from error
