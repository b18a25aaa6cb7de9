"""Parquet: labels are read at once, images and texts block by block, so that memory is flat in n."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from noiseproof.core.errors import BadData
from noiseproof.core.records import LabelledDataset
from noiseproof.core.storage.parquet import explained, open_file
from noiseproof.data.examples import AbstractReader
from noiseproof.data.formats.labelled_tables import table_dataset
from noiseproof.data.formats.table_access import LabelledTable, with_texts
from noiseproof.data.request import Request

_BLOCK_BYTES = 16 << 20
_BLOCKS_KEPT = 4  # threads that decode side by side are never far apart


def open_parquet(address: str, request: Request) -> LabelledDataset:
    """A Parquet file with plain columns or with the Hugging Face image struct."""
    return table_dataset(parquet_table(Path(address)), request)


def parquet_table(path: Path) -> LabelledTable:
    """The table of a Parquet file."""
    file = open_file(path)
    table = LabelledTable(
        schema=file.schema_arrow,
        num_rows=file.metadata.num_rows,
        column=lambda name: _column(file, name, path),
        cells=lambda name: ParquetReader(path, name),
        folder=path.parent,
        stem=path.stem,
    )
    return with_texts(table)


def _column(file: pq.ParquetFile, name: str, path: Path) -> pa.ChunkedArray:
    with explained(path):
        column = file.read(columns=[name]).column(0)
        column.validate(full=True)  # also that texts are UTF-8
        return column


@final
class ParquetReader(AbstractReader):
    """One column of a Parquet file, cell by cell.

    Rows are decoded in blocks of about 16 MiB and the last few blocks are kept. Reading in order costs
    one pass over the file; a jump back inside a row group starts that group again.
    """

    def __init__(self, path: Path, column: str, *, block_bytes: int = _BLOCK_BYTES) -> None:
        self._path = path
        self._column = column
        self._block_bytes = block_bytes
        self._open()

    def __len__(self) -> int:
        return int(self._group_starts[-1])

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self._path, "column": self._column, "block_bytes": self._block_bytes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"], state["column"], block_bytes=state["block_bytes"])

    def read(self, row: int) -> Any:
        """The cell as a Python value: bytes, text, or a dict of `bytes` and `path`."""
        with self._lock, explained(self._path):
            start, block = self._block_of(row)
            return block[row - start].as_py()

    def _open(self) -> None:
        self._file = open_file(self._path)
        meta = self._file.metadata
        sizes = [meta.row_group(group).num_rows for group in range(meta.num_row_groups)]
        self._group_starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, pa.Array] = OrderedDict()  # first row -> block
        self._ahead: Iterator[pa.RecordBatch] = iter(())  # the rest of one row group
        self._next_row = self._end_row = 0  # the rows `_ahead` still has

    def _block_of(self, row: int) -> tuple[int, pa.Array]:
        """The block that holds `row`, and its first row. Only with the lock held."""
        for start, block in self._kept.items():
            if start <= row < start + len(block):
                self._kept.move_to_end(start)
                return start, block
        if not self._next_row <= row < self._end_row:
            self._start_group(int(np.searchsorted(self._group_starts, row, side="right")) - 1)
        while True:
            batch = next(self._ahead, None)
            if batch is None:
                raise BadData(f"{str(self._path)!r} has fewer rows than its footer says.")
            start, block = self._next_row, batch.column(0)
            block.validate(full=True)
            self._next_row += len(block)
            if row < self._next_row:
                break
        self._kept[start] = block
        while len(self._kept) > _BLOCKS_KEPT:
            self._kept.popitem(last=False)
        return start, block

    def _start_group(self, group: int) -> None:
        self._next_row, self._end_row = map(int, self._group_starts[group : group + 2])
        rows = self._file.metadata.row_group(group)
        size_bytes = rows.total_byte_size  # of all columns: at worst the blocks are smaller than requested
        rows_per_block = max(1, rows.num_rows * self._block_bytes // max(size_bytes, 1))
        self._ahead = self._file.iter_batches(
            batch_size=min(rows_per_block, rows.num_rows),
            row_groups=[group],
            columns=[self._column],
            use_threads=False,
        )
