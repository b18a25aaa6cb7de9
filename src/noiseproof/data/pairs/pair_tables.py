"""Image-text pairs in tables: Parquet batch by batch, CSV, TSV and JSON lines row by row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from noiseproof.core.errors import BadData
from noiseproof.core.storage.files import replacing
from noiseproof.core.storage.parquet import open_file
from noiseproof.data.classes import is_text
from noiseproof.data.examples import FileReader, moved_path
from noiseproof.data.fingerprints import fingerprint
from noiseproof.data.formats.columns import IMAGE_NAMES, check_holds_images, find_column, id_column
from noiseproof.data.formats.labelled_tables import row_names
from noiseproof.data.formats.parquet_files import parquet_table
from noiseproof.data.formats.table_access import LabelledTable, table_in_memory
from noiseproof.data.formats.text_tables import read_text_table, write_text_table
from noiseproof.data.pairs.pairs import CAPTION_NAMES, AbstractPairs, PairScan

_BATCH_ROWS = 256


@final
class ParquetPairs(AbstractPairs):
    """A Parquet file; images in it are read and written a batch at a time."""

    def __init__(self, path: Path, *, caption: str | None, image: str | None) -> None:
        self._path, self._table = path, parquet_table(path)
        self._caption, self._image = _columns(self._table.schema, caption, image, path)

    def scan(self) -> PairScan:
        """See `AbstractPairs`."""
        return _scanned(self._table, self._caption, self._image, self._path)

    def write(
        self, out: Path, captions: Sequence[str] | np.ndarray, *, read_from: Path | None = None
    ) -> list[Path]:
        """See `AbstractPairs`."""
        kind = self._table.schema.field(self._image).type
        has_paths = is_text(getattr(kind, "value_type", kind))  # a dictionary holds its values
        file = open_file(self._path)
        schema = file.schema_arrow  # in which texts may be bytes
        place, image_place = map(schema.get_field_index, (self._caption, self._image))
        field, images = schema.field(place), schema.field(image_place)
        done = 0
        with replacing(out / self._path.name) as partial, pq.ParquetWriter(partial, schema) as writer:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                new = pa.array(captions[done : done + len(batch)], pa.large_string()).cast(field.type)
                batch = batch.set_column(place, field, new)
                if has_paths:
                    cells = batch.column(image_place).cast(pa.large_string()).to_pylist()
                    moved = [moved_path(cell, self._path.parent, read_from or out) for cell in cells]
                    batch = batch.set_column(image_place, images, pa.array(moved, images.type))
                writer.write_batch(batch)
                done += len(batch)
        return [out / self._path.name]


@final
class TextPairs(AbstractPairs):
    """Rows of texts with the paths of images; the rows are in memory, the images are not."""

    def __init__(self, path: Path, *, caption: str | None, image: str | None) -> None:
        self._path, self._table = path, read_text_table(path, str(path))
        self._caption, self._image = _columns(self._table.schema, caption, image, path)

    def scan(self) -> PairScan:
        """See `AbstractPairs`."""
        table = table_in_memory(self._table, folder=self._path.parent, stem=self._path.stem)
        return _scanned(table, self._caption, self._image, self._path)

    def write(
        self, out: Path, captions: Sequence[str] | np.ndarray, *, read_from: Path | None = None
    ) -> list[Path]:
        """See `AbstractPairs`."""
        cells, home = self._table.column(self._image).to_pylist(), read_from or out
        images = [moved_path(cell, self._path.parent, home) for cell in cells]
        new = {self._caption: list(captions), self._image: images}
        table = pa.table({name: new.get(name, self._table.column(name)) for name in self._table.column_names})
        with replacing(out / self._path.name) as partial:
            write_text_table(table, partial, self._path)
        return [out / self._path.name]


def _columns(schema: pa.Schema, caption: str | None, image: str | None, path: Path) -> tuple[str, str]:
    caption = find_column(schema, caption, CAPTION_NAMES, option="caption", owner=str(path))
    image = find_column(schema, image, IMAGE_NAMES, option="image", owner=str(path))
    check_holds_images(schema, image, str(path))
    return caption, image


def _scanned(table: LabelledTable, caption: str, image: str, path: Path) -> PairScan:
    """Pairs with the ids that the same table has as a data set, so that the manifest of its noise fits."""
    owner = str(path)
    ids = row_names(table, id_column(table.schema), image, owner)
    captions = _captions(table.column(caption).to_pylist(), path)
    reader = FileReader(table.cells(image), table.folder)
    return PairScan(ids, captions, fingerprint(reader, ids, owner=owner))


def _captions(captions: list[Any], path: Path) -> list[str]:
    for row, caption in enumerate(captions):
        if not isinstance(caption, str):
            raise BadData(
                f"The caption in row {row} of {str(path)!r} is {caption!r:.40}; allowed: a text in every "
                "row. Next: fill it in or leave the pair out."
            )
    return captions
