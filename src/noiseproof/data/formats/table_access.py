"""Access to a table of any format: whole columns, or cell by cell; bytes that spell texts are texts.

Hive, Impala and old versions of Spark write texts into Parquet without the mark that they are UTF-8.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import pyarrow as pa
from PIL import Image

from noiseproof.core.errors import BadData
from noiseproof.data.examples import AbstractReader, CellReader
from noiseproof.data.images import PILLOW_ERRORS

NUM_TELLING = 100  # first cells of a column, which tell what it holds


@dataclass(frozen=True)
class LabelledTable:
    """A table of any format.

    Attributes:
        schema: its columns.
        num_rows: n.
        column: reads one whole column; used for labels and ids only.
        cells: reads one column cell by cell; used for images and texts.
        folder: base of relative paths in the table.
        stem: its short name, from which ids are made.
    """

    schema: pa.Schema
    num_rows: int
    column: Callable[[str], pa.ChunkedArray]
    cells: Callable[[str], AbstractReader]
    folder: Path
    stem: str


def table_in_memory(table: pa.Table, *, folder: Path, stem: str) -> LabelledTable:
    """A table whose cells are in memory; see `LabelledTable`."""
    return with_texts(
        LabelledTable(
            schema=table.schema,
            num_rows=table.num_rows,
            column=table.column,
            cells=lambda column: CellReader(table.column(column).combine_chunks()),
            folder=folder,
            stem=stem,
        )
    )


def with_texts(table: LabelledTable) -> LabelledTable:
    """The table with columns of bytes as columns of texts where the first cells spell texts and no images.

    Columns of Arrow's type `string_view` become plain texts, too.
    """
    found = {
        field.name
        for field in table.schema
        if pa.types.is_string_view(field.type)
        or (_are_bytes(field.type) and _spell_texts(table.cells(field.name)))
    }
    if not found:
        return table
    fields = [field.with_type(pa.large_string()) if field.name in found else field for field in table.schema]

    def column(name: str) -> pa.ChunkedArray:
        values = table.column(name)
        try:
            return values.cast(pa.large_string()) if name in found else values
        except pa.ArrowInvalid as error:
            raise BadData(
                f"A cell of the column {name!r} is not UTF-8 text, as its first cells are; allowed: UTF-8. "
                "Next: correct or leave out such rows."
            ) from error

    return replace(
        table,
        schema=pa.schema(fields, table.schema.metadata),
        column=column,
        cells=lambda name: DecodingReader(table.cells(name)) if name in found else table.cells(name),
    )


@final
class DecodingReader(AbstractReader):
    """Cells of bytes as the texts that they spell."""

    def __init__(self, cells: AbstractReader) -> None:
        self._cells = cells

    def __len__(self) -> int:
        return len(self._cells)

    def read(self, row: int) -> Any:
        """The text, or `None`.

        Raises:
            BadData: it is not UTF-8.
        """
        cell = self._cells.read(row)
        try:
            return cell.decode() if isinstance(cell, bytes) else cell
        except UnicodeDecodeError as error:
            raise BadData(f"the text is not UTF-8 (byte {error.start})") from error


def _are_bytes(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    is_plain = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    return is_plain or pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind)


def _spell_texts(cells: AbstractReader) -> bool:
    """Whether the first cells are UTF-8 without NUL, and no images, of which the first one tells."""
    has_text = False
    for row in range(min(NUM_TELLING, len(cells))):
        cell = cells.read(row)
        if cell and not _spells_text(cell):
            return False
        has_text = has_text or bool(cell)
    return has_text


def _spells_text(content: bytes) -> bool:
    try:
        if "\0" in content.decode():
            return False
        Image.open(io.BytesIO(content)).close()
    except UnicodeDecodeError:
        return False
    except (*PILLOW_ERRORS, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return True  # also what begins like an image, such as "BMW is a car"
    return False
