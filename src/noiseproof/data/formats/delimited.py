"""CSV and TSV files as spreadsheets and programs write them: other delimiters, marks at the beginning."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from noiseproof.core.errors import BadData, first_line
from noiseproof.core.storage.regular_files import check_regular

DELIMITERS = {".csv": ",", ".tsv": "\t"}
_OTHERS = (",", ";", "\t", "|")
_HEAD_BYTES = 1 << 16
_LONGEST_LINE_BYTES = 1 << 24
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_EXCEL_HINT = re.compile(r"sep=(.)\r?\n")  # a first line that tells Excel the delimiter


def delimiter_of(path: Path) -> str:
    """What separates the columns: that of the suffix, or another one if only that is in the header line.

    Spreadsheets of many countries write semicolons into .csv files.
    """
    head = _head(path)
    hint = _EXCEL_HINT.match(head)
    if hint:
        return hint[1]
    usual = DELIMITERS[path.suffix.lower()]
    header = re.sub(r'"[^"]*"', "", head).partition("\n")[0]
    counts = {one: header.count(one) for one in _OTHERS}
    return usual if counts[usual] else max(_OTHERS, key=lambda one: (counts[one], one == usual))


def read_delimited(path: Path, owner: str) -> pa.Table:
    """A table of texts with a header line; a byte order mark and UTF-16 are recognised.

    Raises:
        BadData: it is no such table, or not UTF-8; the line is named.
    """
    check_regular(path)
    if not path.stat().st_size:
        raise BadData(
            f"{owner!r} cannot be read as a table: it is empty. Allowed: a header line and rows. Next: "
            "export it again."
        )
    delimiter = delimiter_of(path)
    parse = pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    with path.open("rb") as file:
        encoding = "utf-16" if file.read(2) in _UTF_16 else "utf8"
    skipped = 1 if _EXCEL_HINT.match(_head(path)) else 0
    read = pa.csv.ReadOptions(encoding=encoding, skip_rows=skipped, block_size=_LONGEST_LINE_BYTES)
    try:
        # The first pass only learns the names of the columns, so that the second can read all as text.
        with pa.csv.open_csv(path, read_options=read, parse_options=parse) as head:
            names = head.schema.names
        texts = pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        )
        return pa.csv.read_csv(path, read_options=read, parse_options=parse, convert_options=texts)
    except (UnicodeError, pa.ArrowException, ValueError, TypeError, OSError) as error:
        check_utf8(path, owner)
        reason = first_line(error)
        if "straddling" in reason:  # blocks
            reason = f"a line is longer than {_LONGEST_LINE_BYTES >> 20} MiB"
        raise BadData(
            f"{owner!r} cannot be read as a table: {reason}. Allowed: UTF-8 text with "
            f"a header line and the same number of fields in every line, separated by {delimiter!r}. Next: "
            "correct that line."
        ) from error


def check_utf8(path: Path, owner: str) -> None:
    """Raise `BadData` naming the first line that is not UTF-8, and what it may say.

    The encoding is not guessed: of the common ones any may be right, and only a reader of the text sees
    which."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                begin = max(error.start - 20, 0)
                shown = line[begin : error.start + 20].decode("cp1252", errors="replace").strip()
                raise BadData(
                    f"{owner!r} is not UTF-8 text: line {number} has the byte {line[error.start]:#04x}, read "
                    f"as Windows-1252 (Latin-1) it says {shown!r}; allowed: UTF-8. Next: save it again with "
                    "the encoding UTF-8, such as: iconv -f WINDOWS-1252 -t UTF-8 "
                    f"{path.name} > utf8{path.suffix}"
                ) from error


def _head(path: Path) -> str:
    """The beginning of the file as text, in which delimiters and ends of lines are what they are."""
    with path.open("rb") as file:
        content = file.read(_HEAD_BYTES)
    if content.startswith(_UTF_16):
        return content[: len(content) // 2 * 2].decode("utf-16", errors="replace")
    return content.removeprefix(codecs.BOM_UTF8).decode("latin-1").replace("\r\n", "\n").replace("\r", "\n")
