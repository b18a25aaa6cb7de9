"""CSV, TSV and JSON lines. The table is kept in memory (texts, paths and labels); images are not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from noiseproof.core.errors import BadData
from noiseproof.core.records import LabelledDataset
from noiseproof.data.examples import CellReader
from noiseproof.data.formats.labelled_tables import LabelledTable, table_dataset
from noiseproof.data.request import Request

DELIMITERS = {".csv": ",", ".tsv": "\t"}


def open_text_table(address: str, request: Request) -> LabelledDataset:
    """Values separated by commas or tabs under a header line, every cell a text, so "NA" is a word; or a JSON
    object per line, blank lines passed over.
    """
    return table_dataset(text_table(Path(address), request.name), request)


def text_table(path: Path, owner: str) -> LabelledTable:
    """The table of one of these files."""
    table = read_text_table(path, owner)
    return LabelledTable(
        schema=table.schema,
        num_rows=table.num_rows,
        column=table.column,
        cells=lambda column: CellReader(table.column(column).combine_chunks()),
        folder=path.parent,
        stem=path.stem,
    )


def read_text_table(path: Path, owner: str) -> pa.Table:
    """Read a whole text file in the format of its suffix."""
    suffix = path.suffix.lower()
    return (
        read_delimited(path, DELIMITERS[suffix], owner)
        if suffix in DELIMITERS
        else read_json_lines(path, owner)
    )


def read_delimited(path: Path, delimiter: str, owner: str) -> pa.Table:
    """A table of texts with a header line.

    Raises:
        BadData: it is no such table; the line is named.
    """
    parse = pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    try:
        # The first pass only learns the names of the columns, so that the second can read all as text.
        with pa.csv.open_csv(path, parse_options=parse) as head:
            names = head.schema.names
        texts = pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        )
        return pa.csv.read_csv(path, parse_options=parse, convert_options=texts)
    except UnicodeDecodeError as error:  # in the header line
        raise _not_utf8(owner, error) from error
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise BadData(
            f"{owner!r} cannot be read as a table: {str(error).rstrip('.')}. Allowed: UTF-8 text with "
            "a header line and the same number of fields in every line. Next: correct that line."
        ) from error


def read_json_lines(path: Path, owner: str) -> pa.Table:
    """A table with a column per key that occurs.

    Raises:
        BadData: a line is no JSON object; it is named.
    """
    rows = []
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    rows.append(_parse(line, number, owner))
    except UnicodeDecodeError as error:
        raise _not_utf8(owner, error) from error
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: _column([row.get(name) for row in rows], name, owner) for name in names})


def _not_utf8(owner: str, error: UnicodeDecodeError) -> BadData:
    return BadData(
        f"{owner!r} is not UTF-8 text ({error.reason}: byte {error.object[error.start]:#04x}); allowed: "
        "UTF-8. Next: save it again with the encoding UTF-8."
    )


def _parse(line: str, number: int, owner: str) -> dict[str, object]:
    try:
        row = json.loads(line)
    except ValueError as error:
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
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise BadData(
            f"Column {name!r} of {owner!r} mixes types ({error}). Allowed: one type per column. "
            "Next: write all its values alike."
        ) from error
