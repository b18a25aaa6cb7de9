"""Lazy sequences of examples, and the readers they draw from."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import pyarrow as pa
from PIL import Image

from noiseproof.core.errors import BadData, MissingFile, NoiseproofError
from noiseproof.core.plurals import counted, some
from noiseproof.core.progress import progress
from noiseproof.core.records import Dataset
from noiseproof.core.storage.regular_files import read_regular
from noiseproof.data.images import decode_image, to_rgb
from noiseproof.data.text_cells import is_blank


class AbstractReader(ABC):
    """Raw contents by row: encoded bytes, a text, a picture, or `None` where the cell is empty.

    Safe to read from several threads, and picklable, so that workers can have a copy.
    """

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows."""

    @abstractmethod
    def read(self, row: int) -> Any:
        """The contents of row `row`, in [0, len)."""


@final
class CellReader(AbstractReader):
    """Rows that are in memory already: a sequence, or an Arrow column of texts or paths."""

    def __init__(self, cells: Any) -> None:
        self._cells = cells

    def __len__(self) -> int:
        return len(self._cells)

    def read(self, row: int) -> Any:
        """The cell as a Python value."""
        cell = self._cells[row]
        return cell.as_py() if isinstance(cell, pa.Scalar) else cell


@final
class PairReader(AbstractReader):
    """Pairs of texts from two columns."""

    def __init__(self, first: AbstractReader, second: AbstractReader) -> None:
        self._first, self._second = first, second

    def __len__(self) -> int:
        return len(self._first)

    def read(self, row: int) -> tuple[Any, Any]:
        """Both cells."""
        return self._first.read(row), self._second.read(row)


@final
class FileReader(AbstractReader):
    """Turns cells into encoded image bytes: a path is opened, bytes are passed on.

    Args:
        cells: rows that are a path, bytes, or the Hugging Face image struct (`bytes`, `path`).
        folder: what relative paths are relative to.
    """

    def __init__(self, cells: AbstractReader, folder: Path) -> None:
        self._cells = cells
        self._folder = folder

    def __len__(self) -> int:
        return len(self._cells)

    def read(self, row: int) -> bytes | None:
        """Encoded bytes of the image.

        Raises:
            MissingFile: the path leads nowhere.
            BadData: the path cannot be read.
        """
        cell = self._cells.read(row)
        if isinstance(cell, dict):
            cell = cell.get("bytes") or cell.get("path")
        if cell is None or isinstance(cell, bytes):
            return cell
        path = self._folder / cell
        try:
            return read_regular(path)
        except FileNotFoundError as error:
            raise MissingFile(f"there is no file {str(path)!r}") from error
        except BadData:
            raise
        except (OSError, ValueError) as error:
            raise BadData(f"the file {str(path)!r} cannot be read ({error})") from error

    def path(self, row: int) -> Path | None:
        """Path of the image; `None` where the cell holds its bytes or is empty."""
        cell = self._cells.read(row)
        if isinstance(cell, dict):
            cell = None if cell.get("bytes") else cell.get("path")
        return self._folder / cell if isinstance(cell, str) and cell else None


def moved_path(cell: Any, old: Path, new: Path) -> Any:
    """The cell of an image as seen from another folder, where it is a path relative to the old one."""
    if not isinstance(cell, str) or not cell or Path(cell).is_absolute():
        return cell
    path = old.resolve() / cell
    try:
        return Path(os.path.relpath(path, new.resolve())).as_posix()
    except ValueError:  # another drive
        return str(path)


@final
class PixelReader(AbstractReader):
    """Grey images kept as one array.

    Args:
        pixels: (n, height, width), uint8.
    """

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels

    def __len__(self) -> int:
        return len(self._pixels)

    def read(self, row: int) -> Image.Image:
        """One of the images, mode L."""
        return Image.fromarray(self._pixels[row])


@final
class LazyExamples(Sequence[Any]):
    """Examples decoded when read; errors name the example.

    Args:
        reader: where the raw contents come from.
        ids: of the examples, for messages.
        decode: raw contents -> example; raises `BadData` with the bare reason.
    """

    def __init__(
        self, reader: AbstractReader, ids: np.ndarray, owner: str, decode: Callable[[Any], Any]
    ) -> None:
        self._reader = reader
        self._ids = ids
        self._owner = owner
        self._decode = decode

    def __len__(self) -> int:
        return len(self._reader)

    def raw(self, row: int) -> Any:
        """The contents as they are kept, not decoded."""
        return self._reader.read(row)

    def path(self, row: int) -> Path | None:
        """The file of this example; `None` where it is none of its own."""
        return self._reader.path(row) if isinstance(self._reader, FileReader) else None

    def __getitem__(self, row: Any) -> Any:
        row = range(len(self))[row]
        try:
            return self._decode(self._reader.read(row))
        except (BadData, MissingFile) as error:
            raise unreadable(error, self._ids[row], self._owner) from error


@final
class Selected(Sequence[Any]):
    """Some examples of another sequence, by index."""

    def __init__(self, examples: Sequence[Any], index: np.ndarray) -> None:
        self._examples = examples
        self._index = index

    def __len__(self) -> int:
        return len(self._index)

    def raw(self, row: int) -> Any:
        """See `LazyExamples.raw`; the example itself for other sequences."""
        return raw_contents(self._examples, int(self._index[row]))

    def path(self, row: int) -> Path | None:
        """See `LazyExamples.path`; `None` for other sequences."""
        if not isinstance(self._examples, LazyExamples | Selected):
            return None
        return self._examples.path(int(self._index[row]))

    def __getitem__(self, row: Any) -> Any:
        return self._examples[int(self._index[row])]


@final
class Transformed(Sequence[Any]):
    """Examples of another sequence, changed when they are read.

    Args:
        examples: the originals.
        ids: of the examples; a change may depend on the id, so it is the same in any order.
        change: (example, id) -> example.
    """

    def __init__(self, examples: Sequence[Any], ids: np.ndarray, change: Callable[[Any, str], Any]) -> None:
        self._examples = examples
        self._ids = ids
        self._change = change

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, row: Any) -> Any:
        row = range(len(self))[row]
        return self._change(self._examples[row], str(self._ids[row]))


@final
class Rows(Sequence[Any]):
    """The rows of a matrix of features.

    Attributes:
        matrix: (n, d), all of it, for those who need no row-wise access.
    """

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = matrix

    def __len__(self) -> int:
        return len(self.matrix)

    def __getitem__(self, row: Any) -> Any:
        return self.matrix[row]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: FBT001
        return np.array(self.matrix, dtype=dtype, copy=copy)


def as_image(content: Any) -> Image.Image:
    """Raw contents -> RGB picture."""
    if content is None:
        raise BadData("the image is missing (an empty cell)")
    return to_rgb(content) if isinstance(content, Image.Image) else decode_image(content)


def as_text(content: Any) -> Any:
    """Raw contents -> text, or a pair of texts."""
    for text in content if isinstance(content, tuple) else (content,):
        if text is None:
            raise BadData("the text is missing (an empty cell)")
        if is_blank(text):
            raise BadData("the text is empty")
    return content


def shown_text(example: str | tuple[str, str]) -> str:
    """A text, or a pair of texts, for people."""
    return example if isinstance(example, str) else " | ".join(example)


def unreadable(error: Exception, example_id: object, owner: str) -> Exception:
    """The one wording for an example that cannot be read; keeps the type of `error`."""
    return type(error)(
        f"Example {str(example_id)!r} of {owner!r} cannot be read: {error}. Allowed: whole files. "
        "Next: repair or remove it, or leave such examples out with on_error='skip' (--on-error skip)."
    )


def bare_reason(error: BaseException) -> str:
    """The reason in an error of a lazy example, without its name and the advice around it."""
    return str(error.__cause__ or error).rstrip(".")


def listed(reasons: Mapping[str, str]) -> str:
    """Some examples with their reasons, as a text; the others are counted."""
    return some((f"{example_id!r} ({reason})" for example_id, reason in reasons.items()), between="; ")


def unreadable_error(reasons: Mapping[str, str], owner: str, kind: type[NoiseproofError]) -> NoiseproofError:
    """The error that names all examples that cannot be read."""
    return kind(
        f"{counted(len(reasons), 'example')} of {owner!r} cannot be read: {listed(reasons)}. Allowed: whole "
        "files. Next: repair or remove them, or leave such examples out with on_error='skip' (--on-error "
        "skip)."
    )


def raw_contents(examples: Sequence[Any], row: int) -> Any:
    """Contents that identify an example whatever its name: its stored bytes, else the decoded example."""
    return examples.raw(row) if isinstance(examples, LazyExamples | Selected) else examples[row]


def files_of(examples: Sequence[Any]) -> list[Path] | None:
    """The file of every example, in their order; `None` unless each is a file of its own."""
    if not isinstance(examples, LazyExamples | Selected):
        return None
    found: list[Path] = []
    for row in range(len(examples)):
        path = examples.path(row)
        if path is None:  # usually known at the first row: a table with the images in it
            return None
        found.append(path)
    return found


def as_array(dataset: Dataset) -> np.ndarray:
    """Features as they are, images as raw pixels (n, height, width, 3), uint8; all in memory.

    Raises:
        BadData: texts, or images of more than one size.
    """
    if isinstance(dataset.examples, Rows):
        return dataset.examples.matrix
    if dataset.kind != "image":
        raise BadData(
            f"{dataset.name!r} holds texts, which are no numbers; allowed: images of one size, or features. "
            "Next: extract features and name them with `features`."
        )
    first = np.asarray(dataset.examples[0])
    pixels = np.empty((len(dataset), *first.shape), np.uint8)
    with progress(f"Reading {dataset.name}", total=len(dataset), unit="image") as bar:
        for row in range(len(dataset)):
            image = np.asarray(dataset.examples[row])
            if image.shape != first.shape:
                height, width = image.shape[:2]
                raise BadData(
                    f"{dataset.name!r} has images of several sizes: {str(dataset.ids[row])!r} is {width} x "
                    f"{height} pixels, the first {first.shape[1]} x {first.shape[0]}; allowed: one size. "
                    "Next: extract features and name them with `features`."
                )
            pixels[row] = image
            bar.update()
    return pixels
