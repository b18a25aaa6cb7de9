"""Text lists of images, a line `path class_id` each, as of DomainNet."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa

from noiseproof.data.classes import encode_labels, one_to_one
from noiseproof.data.examples import CellReader, Examples, FileReader, as_image
from noiseproof.data.fingerprints import fingerprint
from noiseproof.data.request import Request
from noiseproof.errors import BadData
from noiseproof.records import Dataset, check_unique_ids


def open_list(address: str, request: Request) -> Dataset:
    """A .txt file; paths are relative to its folder and may have spaces, the class id is the last word.

    Classes are called by the folder their images lie in, where each class has one of its own, else by their
    ids. Empty lines are passed over. Ids of examples are the paths.

    Raises:
        BadData: a line without an integer at its end (named), a path that comes twice, or no lines.
    """
    request.refuse_columns("label", "image", "text", "clean_label", because="is a list of images")
    path = Path(address)
    paths, labels = _lines(path, request.name)
    numbers, folders = pa.chunked_array([labels]), pa.chunked_array([_folders(paths)])
    encoded, class_names = encode_labels(
        {"class id": numbers}, names=one_to_one(numbers, folders), owner=request.name
    )
    ids = np.array(paths)
    check_unique_ids(ids, request.name)
    reader = FileReader(CellReader(paths), path.parent)
    return Dataset(
        name=request.name,
        kind="image",
        examples=Examples(reader, ids, request.name, as_image),
        ids=ids,
        given_labels=encoded["class id"],
        class_names=class_names,
        fingerprint=fingerprint(reader, ids, owner=request.name, on_error=request.on_error),
    )


def _lines(path: Path, owner: str) -> tuple[list[str], list[int]]:
    paths: list[str] = []
    labels: list[int] = []
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"{owner!r} cannot be read as text ({error}). Next: check the file.") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        # From the end, because paths may have spaces.
        name, _, label = line.strip().rpartition(" ")
        if not name or not label.isdecimal():
            raise BadData(
                f"Line {number} of {owner!r} is {line!r}; allowed: a path, a space and a class id, such as "
                "'sketch/bee/1.jpg 24'. Next: mend the line."
            )
        paths.append(name.rstrip())
        labels.append(int(label))
    if not paths:
        raise BadData(f"The list {owner!r} is empty; allowed: a line per image. Next: check the path.")
    return paths, labels


def _folders(paths: list[str]) -> list[str]:
    return [PurePosixPath(path).parent.name for path in paths]
