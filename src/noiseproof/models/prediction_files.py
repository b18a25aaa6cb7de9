"""Predictions on disk: CSV, Parquet or JSON lines by the suffix, written whole or not at all."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from noiseproof.core.errors import NoiseproofError, invalid
from noiseproof.core.storage.files import delete_unfinished, replacing
from noiseproof.core.storage.parquet import open_file
from noiseproof.core.storage.spreadsheet_cells import escaped
from noiseproof.models.predictions import FIRST_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".parquet", ".jsonl")
_BOM = "\ufeff"  # tells spreadsheets that a file is UTF-8
Write = Callable[[Any], None]


def write_predictions(frames: Iterable[pd.DataFrame], out: Path) -> Iterator[pd.DataFrame]:
    """Write tables of predictions one after the other, and pass each on; the file is there after the last.

    Texts of a CSV that a spreadsheet would run are escaped.

    Raises:
        InvalidArgument: a suffix that is none of `SUFFIXES`, or a file of somebody else.
    """
    check_out(out)
    delete_unfinished(out.parent, out.name)
    with replacing(out) as partial, _WRITERS[out.suffix.lower()](partial) as write:
        for frame in frames:
            write(frame)
            yield frame


def plain_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as JSON has them: `None` where there is no number."""
    return [
        {str(name): None if value != value else value for name, value in row.items()}  # NaN
        for row in frame.to_dict("records")
    ]


def check_out(out: Path) -> None:
    """Refuse a name with another suffix, and a file that is no table of predictions."""
    if out.suffix.lower() not in SUFFIXES:
        raise invalid("out", str(out), f"a file that ends in {', '.join(SUFFIXES)}")
    if out.is_dir() or (out.exists() and not _holds_predictions(out)):
        raise invalid(
            "out", str(out), "a new file, or one with predictions",
            "It holds something else, which would be replaced. Next: name another file.",
        )  # fmt: skip


def _holds_predictions(path: Path) -> bool:
    if path.suffix.lower() == ".parquet":
        try:
            return tuple(open_file(path).schema_arrow.names[:2]) == FIRST_COLUMNS
        except (NoiseproofError, pa.ArrowException, OSError):
            return False
    with path.open(encoding="utf-8", errors="replace") as file:
        start = file.read(200)
    return start.startswith((_BOM + ",".join(FIRST_COLUMNS), '{"example_id": '))


@contextlib.contextmanager
def _csv(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(_BOM)
        is_first = True

        def write(frame: pd.DataFrame) -> None:
            nonlocal is_first
            shown = frame.copy()
            for column in ("example_id", "prediction", "reason"):
                shown[column] = [escaped(cell) if isinstance(cell, str) else cell for cell in frame[column]]
            header = [escaped(name) for name in frame.columns] if is_first else False
            shown.to_csv(file, index=False, header=header, lineterminator="\r\n", float_format="%.6g")
            is_first = False

        yield write


@contextlib.contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    with contextlib.ExitStack() as stack:
        writer: pq.ParquetWriter | None = None

        def write(frame: pd.DataFrame) -> None:
            nonlocal writer
            table = pa.Table.from_pandas(frame, schema=_schema(frame), preserve_index=False)
            if writer is None:
                writer = stack.enter_context(pq.ParquetWriter(path, table.schema))
            writer.write_table(table)

        yield write


def _schema(frame: pd.DataFrame) -> pa.Schema:
    """Types by column: a block without a reason would have another type than the next."""
    types = {"example_id": pa.string(), "is_unsure": pa.bool_(), "reason": pa.string()}
    if frame["prediction"].dtype.kind != "f":
        types["prediction"] = pa.string()
    return pa.schema([(name, types.get(name, pa.float64())) for name in frame.columns])


@contextlib.contextmanager
def _jsonl(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8") as file:

        def write(frame: pd.DataFrame) -> None:
            for row in plain_rows(frame):
                file.write(json.dumps(row, allow_nan=False) + "\n")

        yield write


_WRITERS = {".csv": _csv, ".parquet": _parquet, ".jsonl": _jsonl}
