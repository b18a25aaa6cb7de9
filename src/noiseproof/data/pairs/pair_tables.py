"""Image-text pairs in tables: Parquet batch by batch, CSV, TSV and JSON lines row by row."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO, final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from noiseproof.core.errors import BadData
from noiseproof.core.storage.files import replacing
from noiseproof.core.storage.parquet import open_file, read_table
from noiseproof.data.classes import is_text
from noiseproof.data.examples import CellReader, FileReader
from noiseproof.data.fingerprints import fingerprint
from noiseproof.data.formats.columns import IMAGE_NAMES, check_holds_images, find_column, id_column
from noiseproof.data.formats.delimited import DELIMITERS, delimiter_of
from noiseproof.data.formats.labelled_tables import ids_in_column, ids_of_rows
from noiseproof.data.formats.parquet_files import ParquetReader
from noiseproof.data.formats.text_tables import read_text_table
from noiseproof.data.pairs.pairs import CAPTION_NAMES, AbstractPairs, PairScan

_BATCH_ROWS = 256


@final
class ParquetPairs(AbstractPairs):
    """A Parquet file; images in it are read and written a batch at a time.

    Args:
        path: the file.
        caption: column of the captions.
        image: column of the images or of their paths.
    """

    def __init__(self, path: Path, *, caption: str | None, image: str | None) -> None:
        self._path = path
        self._schema = open_file(path).schema_arrow
        self._caption, self._image = _columns(self._schema, caption, image, path)

    def scan(self) -> PairScan:
        """See `AbstractPairs`."""
        paths = [self._image] if is_text(self._schema.field(self._image).type) else []
        column = id_column(self._schema)
        wanted = dict.fromkeys([self._caption, *([column] if column else []), *paths])
        table = read_table(self._path, list(wanted))
        ids = _ids(table, self._image, self._path)
        reader = FileReader(ParquetReader(self._path, self._image), self._path.parent)
        captions = _captions(table.column(self._caption).to_pylist(), self._path)
        return PairScan(ids, captions, fingerprint(reader, ids, owner=str(self._path)))

    def write(
        self, out: Path, captions: Sequence[str] | np.ndarray, *, read_from: Path | None = None
    ) -> list[Path]:
        """See `AbstractPairs`."""
        place = self._schema.get_field_index(self._caption)
        field = self._schema.field(place)
        image_place = self._schema.get_field_index(self._image)
        images = self._schema.field(image_place)
        has_paths = is_text(getattr(images.type, "value_type", images.type))  # a dictionary holds its values
        done = 0
        with replacing(out / self._path.name) as partial, pq.ParquetWriter(partial, self._schema) as writer:
            for batch in open_file(self._path).iter_batches(batch_size=_BATCH_ROWS):
                new = pa.array(captions[done : done + len(batch)], pa.large_string()).cast(field.type)
                batch = batch.set_column(place, field, new)
                if has_paths:
                    cells = batch.column(image_place).to_pylist()
                    moved = [_moved(cell, self._path.parent, read_from or out) for cell in cells]
                    batch = batch.set_column(image_place, images, pa.array(moved, images.type))
                writer.write_batch(batch)
                done += len(batch)
        return [out / self._path.name]


@final
class TextPairs(AbstractPairs):
    """Rows of texts with the paths of images; the rows are in memory, the images are not.

    Args:
        path: a CSV, TSV or JSONL file.
        caption: column of the captions.
        image: column of the paths.
    """

    def __init__(self, path: Path, *, caption: str | None, image: str | None) -> None:
        self._path, self._table = path, read_text_table(path, str(path))
        self._caption, self._image = _columns(self._table.schema, caption, image, path)

    def scan(self) -> PairScan:
        """See `AbstractPairs`."""
        ids = _ids(self._table, self._image, self._path)
        reader = FileReader(CellReader(self._table.column(self._image).combine_chunks()), self._path.parent)
        captions = _captions(self._table.column(self._caption).to_pylist(), self._path)
        return PairScan(ids, captions, fingerprint(reader, ids, owner=str(self._path)))

    def write(
        self, out: Path, captions: Sequence[str] | np.ndarray, *, read_from: Path | None = None
    ) -> list[Path]:
        """See `AbstractPairs`."""
        rows = self._table.to_pylist()
        for row, caption in zip(rows, captions, strict=True):
            row[self._caption] = caption
            row[self._image] = _moved(row[self._image], self._path.parent, read_from or out)
        with (
            replacing(out / self._path.name) as partial,
            partial.open("w", encoding="utf-8", newline="") as file,
        ):
            self._write_rows(file, rows)
        return [out / self._path.name]

    def _write_rows(self, file: TextIO, rows: list[dict[str, Any]]) -> None:
        if self._path.suffix.lower() not in DELIMITERS:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            return
        names = list(rows[0]) if rows else []
        writer = csv.DictWriter(file, names, delimiter=delimiter_of(self._path), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _columns(schema: pa.Schema, caption: str | None, image: str | None, path: Path) -> tuple[str, str]:
    caption = find_column(schema, caption, CAPTION_NAMES, option="caption", owner=str(path))
    image = find_column(schema, image, IMAGE_NAMES, option="image", owner=str(path))
    check_holds_images(schema, image, str(path))
    return caption, image


def _ids(table: pa.Table, image: str, path: Path) -> np.ndarray:
    """The ids that the same table has as a data set, so that the manifest of its noise fits."""
    column = id_column(table.schema)
    if column is not None:
        return ids_in_column(table.column(column), column, str(path))
    paths = table.column(image) if image in table.column_names else None
    return ids_of_rows(paths, path.stem, len(table))


def _captions(captions: list[Any], path: Path) -> list[str]:
    for row, caption in enumerate(captions):
        if not isinstance(caption, str):
            raise BadData(
                f"The caption in row {row} of {str(path)!r} is {caption!r:.40}; allowed: a text in every "
                "row. Next: fill it in or leave the pair out."
            )
    return captions


def _moved(cell: Any, old: Path, new: Path) -> Any:
    """A relative path as seen from the folder of the copy."""
    if not isinstance(cell, str) or Path(cell).is_absolute():
        return cell
    return Path(os.path.relpath(old.resolve() / cell, new.resolve())).as_posix()
