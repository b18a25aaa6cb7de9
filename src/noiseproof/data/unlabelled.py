"""Examples without labels, for predictions: every row of the source is there, readable or not."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from noiseproof.core.arrays import as_matrix
from noiseproof.core.checks import check_unique_ids
from noiseproof.core.class_names import in_order
from noiseproof.core.errors import BadData, invalid
from noiseproof.core.records import Dataset, Kind
from noiseproof.core.storage.array_files import open_archive, read_array
from noiseproof.core.storage.regular_files import check_regular
from noiseproof.data.examples import (
    AbstractReader,
    CellReader,
    FileReader,
    LazyExamples,
    Rows,
    as_image,
    as_text,
)
from noiseproof.data.fingerprints import fingerprint, matrix_fingerprint
from noiseproof.data.formats.columns import FEATURE_NAMES, content_columns, id_column
from noiseproof.data.formats.folder_walk import IMAGE_SUFFIXES, FolderWalk
from noiseproof.data.formats.labelled_tables import (
    check_table,
    content_reader,
    row_ids,
    row_names,
)
from noiseproof.data.formats.matrix_files import check_rows, checked_matrix, feature_matrix
from noiseproof.data.formats.npz_files import array_name, feature_rows, id_array
from noiseproof.data.formats.parquet_files import parquet_table
from noiseproof.data.formats.table_access import LabelledTable, table_in_memory
from noiseproof.data.formats.text_tables import text_table
from noiseproof.data.images import PILLOW_ERRORS, to_rgb
from noiseproof.data.missing_texts import WatchedTexts
from noiseproof.data.request import Request
from noiseproof.data.sources import open_request, resolve

_TABLES = (".csv", ".tsv", ".jsonl", ".parquet", ".npz", ".npy")
_FORMS = "a path, a list of paths, pictures or texts, a series, an array of features (n, d), or a data frame"


@dataclass(frozen=True, eq=False)
class Examples:
    """Examples to classify.

    Attributes:
        dataset: all of them, without labels.
        unusable: row -> reason, of rows that are known to have no usable example.
    """

    dataset: Dataset
    unusable: Mapping[int, str]


def open_examples(name: str, *, image: str | None = None, text: str | None = None) -> Examples:
    """The examples that a name stands for; labels in it are passed over.

    Args:
        name: a folder of images, in class folders or not, an image file, a table with or without labels, a
            .npz or .npy file of features, or any other data set that `open_dataset` opens.
        image: column of images or of their paths.
        text: column of texts; FIRST,SECOND for pairs.

    Raises:
        MissingFile: the path does not exist.
        UnknownName: a prefix, file type or column that is not known.
        BadData: there are no examples, or the columns are unclear.
    """
    if name.lower().endswith(IMAGE_SUFFIXES) and Path(name).exists():
        return image_files([name], owner=name)
    source, address = resolve(name)
    request = Request(
        name, image=image, text=text, on_error="skip", missing_label="skip", may_lack_classes=True
    )
    if source == "folder":
        return _folder(Path(address), request)
    if source in ("csv", "tsv", "jsonl"):
        return table_examples(text_table(Path(address), name), request)
    if source == "parquet":
        return table_examples(parquet_table(Path(address)), request)
    if source == "npz":
        return _archive(Path(address), request)
    if source == "npy":
        return matrix_examples(feature_rows(read_array(Path(address), name), name), Path(address).stem, name)
    return Examples(without_labels(open_request(request)), {})


def image_files(paths: Sequence[str], *, owner: str, folder: Path = Path()) -> Examples:
    """Image files by their paths, which are also the ids.

    Raises:
        BadData: a path that comes twice, or no paths.
    """
    for path in paths:
        check_regular(folder / path)
    return _lazy(FileReader(CellReader(list(paths)), folder), np.array(paths), "image", owner)


def listed_images(paths: Sequence[str]) -> Examples:
    """Several image files that somebody named.

    Raises:
        BadData: one of them is a folder or a table.
    """
    for path in paths:
        is_folder = Path(path).is_dir()
        if is_folder or path.lower().endswith(_TABLES):
            raise BadData(
                f"{path!r} is {'a folder' if is_folder else 'a table'}; allowed among several: image files. "
                "Next: name it alone."
            )
    return image_files(paths, owner=f"{len(paths)} images")


def examples_in_memory(data: Any, *, kind: Kind) -> Examples:
    """Paths of images, pictures, texts, pairs of texts, or rows of features; ids are paths or numbers.

    Args:
        data: an array, a tensor, a sparse matrix, a series, or anything that can be iterated; one picture.
        kind: of the examples; decides whether texts are paths.

    Raises:
        InvalidArgument: entries of another kind.
        BadData: there are none, or they are no matrix of numbers.
    """
    if hasattr(data, "iloc") and kind != "features":  # of a series, whose index is the ids
        return frame_examples(data.to_frame("example"), **{kind: "example"})
    if isinstance(data, Image.Image):
        data = [data]
    if isinstance(data, (Mapping, str, bytes)) or not hasattr(data, "__iter__"):
        raise invalid("data", data, _FORMS)
    if not hasattr(data, "shape") or (kind != "features" and is_of_texts(data)):
        data = list(data)
        if not data:
            raise BadData("`data` is empty; allowed: one example or more. Next: check where it comes from.")
        if kind == "text":
            return text_examples(data, owner="texts")
        if all(isinstance(one, (str, os.PathLike)) for one in data):
            return listed_images([os.fspath(one) for one in data])
        if all(isinstance(one, Image.Image) for one in data):
            return _lazy(_Pictures(data), np.arange(len(data)).astype(str), "image", "images")
    if kind == "image":
        _refuse_pixels(data)
    return matrix_examples(feature_rows(as_matrix(data, "data"), "array"), "row", "array")


def _refuse_pixels(data: Any) -> None:
    """Refuse what is neither a path nor a picture; a matrix is left, which is named as features."""
    rows = [row for row, one in enumerate(data) if np.ndim(one) != 1]
    if rows:
        odd = [row for row in rows if not isinstance(data[row], (str, os.PathLike, Image.Image))]
        row = (odd or rows)[0]
        is_array = hasattr(data[row], "shape")
        raise invalid(
            "data", f"an array of shape {tuple(data[row].shape)}" if is_array else data[row],
            "paths of images alone, or pictures of PIL alone",
            f"It is entry {row}. Next: PIL.Image.fromarray(pixels), as RGB with height, width and colour in "
            "this order, or name a file.",
        )  # fmt: skip


def is_of_texts(array: Any) -> bool:
    """Whether an array has texts or other objects."""
    return getattr(getattr(array, "dtype", None), "kind", "") in ("U", "O", "T")


def text_examples(texts: Sequence[Any], *, owner: str) -> Examples:
    """Texts, or pairs of texts; ids are their numbers.

    Raises:
        InvalidArgument: an entry is neither a text nor a pair of texts.
    """
    texts = [tuple(one) if isinstance(one, (list, np.ndarray)) else one for one in texts]
    for row, one in enumerate(texts):
        parts = one if isinstance(one, tuple) else (one,)
        if len(parts) > 2 or not all(part is None or isinstance(part, str) for part in parts):
            raise invalid("data", one, "texts, or pairs of texts as tuples", f"It is entry {row}.")
    return _lazy(CellReader(texts), np.arange(len(texts)).astype(str), "text", owner)


def matrix_examples(features: Any, stem: str, owner: str, *, ids: np.ndarray | None = None) -> Examples:
    """Rows of a matrix of features; rows with NaN or infinity are unusable.

    Raises:
        BadData: it is no matrix of numbers, or ids come twice.
    """
    ids = row_ids(stem, len(features)) if ids is None else ids
    check_rows("ids", ids, features, owner)
    check_unique_ids(ids, owner)
    if features.ndim == 2 and features.dtype.kind == "f":
        rows = np.flatnonzero(~np.isfinite(features).all(axis=1))
        unusable = dict.fromkeys(rows.tolist(), "the features have NaN or infinity")
        if len(rows):
            features = features.copy()
            features[rows] = 0
    else:
        unusable = {}
    matrix = checked_matrix(features, owner)
    dataset = Dataset(owner, "features", Rows(matrix), ids, None, (), matrix_fingerprint(matrix, ids))
    return Examples(dataset, unusable)


def frame_examples(frame: Any, *, image: str | None = None, text: str | None = None) -> Examples:
    """Rows of a pandas data frame; without a column of ids its index is the ids, where no two are alike."""
    if any(dtype.kind == "O" for dtype in frame.dtypes):
        frame = frame.apply(lambda column: column.map(_path_text) if column.dtype.kind == "O" else column)
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise BadData(
            f"The data frame cannot be read ({error}); allowed: columns of one type each, with texts as "
            "names. Next: select the columns that matter."
        ) from error
    ids = frame.index.astype(str).to_numpy(dtype=str)
    read = table_in_memory(table, folder=Path(), stem="row")
    request = Request("data frame", image=image, text=text, on_error="skip")
    return table_examples(read, request, ids=ids if len(set(ids)) == len(ids) else None)


def _path_text(cell: Any) -> Any:
    return os.fspath(cell) if isinstance(cell, os.PathLike) else cell


def table_examples(table: LabelledTable, request: Request, *, ids: np.ndarray | None = None) -> Examples:
    """Rows of a table of any format.

    Args:
        ids: of rows without a column of ids; by default as in `labelled_tables.table_dataset`.

    Raises:
        BadData: no rows, unclear columns, duplicate ids.
    """
    owner = request.name
    check_table(table, owner)
    content, kind, features = content_columns(table.schema, request)
    first, second = (*content, None, None)[:2]
    assert first is not None  # `content_columns` finds examples or raises
    named = id_column(table.schema)
    if named is not None or ids is None:
        ids = row_names(table, named, first if kind == "image" else None, owner)
    if kind == "features":
        parts = [table.column(name) for name in features]
        return matrix_examples(feature_matrix(parts, features, owner), table.stem, owner, ids=ids)
    return _lazy(content_reader(table, kind, first, second, owner), ids, kind, owner)


def without_labels(dataset: Dataset) -> Dataset:
    """The examples of a data set alone."""
    return Dataset(
        dataset.name, dataset.kind, dataset.examples, dataset.ids, None, (), dataset.fingerprint,
        is_cropped=dataset.is_cropped, skipped=dataset.skipped, notes=dataset.notes,
    )  # fmt: skip


def _folder(root: Path, request: Request) -> Examples:
    """All images under a folder, in the order of `open_dataset` where they are in class folders."""
    request.refuse_columns("image", "text", because="is a folder of images")
    walk = FolderWalk(root)
    classes = in_order(walk.class_folders)
    images = walk.images_of(classes)
    paths = [*walk.loose_images, *(path for name in classes for path in images[name])]
    if not paths:
        raise BadData(
            f"{request.name!r} holds no images; allowed: files that end in {' '.join(IMAGE_SUFFIXES)}. Next: "
            "check the path."
        )
    found = image_files(paths, owner=request.name, folder=root)
    notes = walk.notes(request.name, has_labels=False)
    return replace(found, dataset=replace(found.dataset, notes=tuple(notes)))


def _archive(path: Path, request: Request) -> Examples:
    request.refuse_columns("image", "text", because="is an archive of features")
    with open_archive(path, request.name) as arrays:
        content = array_name(arrays, None, FEATURE_NAMES, "features", request.name)
        return matrix_examples(
            feature_rows(arrays[content], request.name), path.stem, request.name, ids=id_array(arrays)
        )


def _lazy(reader: AbstractReader, ids: np.ndarray, kind: Kind, owner: str) -> Examples:
    if len(ids) == 0:
        raise BadData(f"The data set {owner!r} is empty. Next: check the path and the filters.")
    check_unique_ids(ids, owner)
    examples = LazyExamples(reader, ids, owner, as_image if kind == "image" else as_text)
    watched = WatchedTexts(reader)
    key = fingerprint(watched, ids, owner=owner, on_error="skip")
    notes = watched.notes(ids, owner)
    return Examples(Dataset(owner, kind, examples, ids, None, (), key, notes=notes), {})


class _Pictures(AbstractReader):
    """Pictures in memory."""

    def __init__(self, pictures: Sequence[Image.Image]) -> None:
        self._pictures = pictures

    def __len__(self) -> int:
        return len(self._pictures)

    def read(self, row: int) -> Image.Image:
        """The picture as RGB."""
        try:
            return to_rgb(self._pictures[row])
        except PILLOW_ERRORS as error:  # a closed or cut file, from which Pillow reads only now
            raise BadData(f"the picture cannot be read ({error or type(error).__name__})") from error
