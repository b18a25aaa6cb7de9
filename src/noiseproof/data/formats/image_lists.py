"""Text lists of images, a line `path class_id` each, as of DomainNet; and what other lists share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa

from noiseproof.core.checks import check_unique_ids
from noiseproof.core.errors import BadData, MissingFile
from noiseproof.core.records import LabelledDataset
from noiseproof.core.storage.regular_files import read_regular
from noiseproof.data.classes import encode_labels, one_to_one
from noiseproof.data.examples import CellReader, FileReader
from noiseproof.data.lazy_dataset import lazy_dataset
from noiseproof.data.request import Request

_MAX_DIGITS = 18


def open_list(address: str, request: Request) -> LabelledDataset:
    """A .txt file; paths are relative to its folder and may have spaces, the class id is the last word.

    Classes are called by the folder their images lie in, where each class has one of its own, else by their
    ids. Empty lines are passed over. Ids of examples are the paths.

    Raises:
        BadData: a line without an integer at its end (named), a path that comes twice, or no lines.
    """
    request.refuse_columns(because="is a list of images")
    path = Path(address)
    paths, labels = read_list(path, request.name, origin="that path")
    numbers, folders = pa.chunked_array([labels]), pa.chunked_array([_folders(paths)])
    encoded, class_names = encode_labels(
        {"class id": numbers}, names=one_to_one(numbers, folders), owner=request.name
    )
    return listed_images(paths, encoded["class id"], class_names, request, path.parent)


def listed_images(
    paths: Sequence[str],
    labels: np.ndarray,
    class_names: Sequence[str],
    request: Request,
    folder: Path,
    *,
    clean_labels: np.ndarray | None = None,
) -> LabelledDataset:
    """The data set of image files that a list names.

    Args:
        paths: n of them, relative to `folder`; also the ids.
        clean_labels: n class ids, where the truth is known.

    Raises:
        MissingFile: an image is not there; it is named.
        BadData: a path that comes twice, or an image that cannot be read.
    """
    ids = np.array(paths)
    check_unique_ids(ids, request.name)
    reader = FileReader(CellReader(paths), folder)
    return lazy_dataset(
        reader, request, ids=ids, labels=labels, class_names=class_names, clean_labels=clean_labels
    )


def read_list(
    path: Path, owner: str, *, origin: str, num_classes: int | None = None
) -> tuple[list[str], list[int]]:
    """The paths and class ids of a file with a line `path class_id` each; empty lines are passed over.

    Args:
        origin: what the list comes with, for messages.
        num_classes: class ids must be below it, where it is known.

    Raises:
        MissingFile: the list is absent.
        BadData: a line without a class id (named), or no lines.
    """
    paths: list[str] = []
    labels: list[int] = []
    below = "" if num_classes is None else f" below {num_classes}"
    for number, line in list_lines(path, owner, origin=origin):
        # From the end, because paths may have spaces.
        name, _, label = line.rpartition(" ")
        if not name or not is_class_id(label, below=num_classes):
            raise BadData(
                f"Line {number} of {str(path)!r} is {line!r}; allowed: a path, a space and a class id"
                f"{below}, such as 'sketch/bee/1.jpg 24'. Next: mend the line."
            )
        paths.append(name.rstrip())
        labels.append(int(label))
    return paths, labels


def is_class_id(text: str, *, below: int | None) -> bool:
    """Whether a text is a class id: digits, not more than 64 bits can count."""
    if not (text.isascii() and text.isdigit()) or len(text) > _MAX_DIGITS:
        return False
    return below is None or int(text) < below


def list_lines(path: Path, owner: str, *, origin: str) -> list[tuple[int, str]]:
    """The lines of a text file that are not empty, stripped, with their numbers from 1.

    Raises:
        MissingFile: the file does not exist; the message has its origin.
        BadData: it is no text, or empty.
    """
    try:
        text = read_regular(path).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise MissingFile(
            f"{owner!r} has no file {str(path)!r}; it comes with {origin}. Next: fetch it, or check "
            "the folder."
        ) from error
    except BadData:
        raise
    except (OSError, ValueError) as error:
        raise BadData(f"{str(path)!r} cannot be read as text ({error}). Next: check the file.") from error
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        raise BadData(f"The list {str(path)!r} is empty; allowed: a line per image. Next: check the path.")
    return lines


def _folders(paths: list[str]) -> list[str]:
    return [PurePosixPath(path).parent.name for path in paths]
