"""Parquet files of any origin: damage is one sentence, and texts are checked to be UTF-8."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from noiseproof.core.errors import BadData, NoiseproofError, first_line
from noiseproof.core.limits import UNPACKED_BYTES, above, is_bomb
from noiseproof.core.storage.regular_files import check_regular

_BUFFER_BYTES = 1 << 20
_LABEL_BYTES = 8  # of a row, at least, once it is in memory


def open_file(path: Path) -> pq.ParquetFile:
    """An open Parquet file; only its footer is read.

    Raises:
        BadData: it is no Parquet file, or has more rows than its size can hold.
    """
    check_regular(path)
    with explained(path):
        # Buffered rather than memory-mapped: mapped pages count as memory of the process.
        file = pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        num_rows = file.metadata.num_rows
        if num_rows < 0 or is_bomb(_LABEL_BYTES * num_rows, path.stat().st_size):
            raise ValueError(above(f"{num_rows} rows of {_LABEL_BYTES} bytes", UNPACKED_BYTES))
        return file


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Some columns of a Parquet file, or all of it.

    Raises:
        BadData: it is no Parquet file, or a damaged one.
    """
    file = open_file(path)
    with explained(path):
        table = file.read(columns=None if columns is None else list(columns))
        table.validate(full=True)
        return table


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what Arrow raises while a Parquet file is read into one sentence.

    Raises:
        BadData: instead.
    """
    try:
        yield
    except NoiseproofError:
        raise
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, IndexError, MemoryError) as error:
        raise BadData(
            f"{str(path)!r} cannot be read as Parquet: {first_line(error)}. Allowed: a whole Parquet file. "
            "Next: fetch or write it again."
        ) from error
