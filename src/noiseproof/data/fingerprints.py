"""SHA-256 names for contents: what features on disk are found by."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

import numpy as np
from PIL import Image

from noiseproof.core.errors import BadData, MissingFile
from noiseproof.core.progress import progress
from noiseproof.core.records import Dataset
from noiseproof.data.examples import AbstractReader, raw_contents, unreadable, unreadable_error
from noiseproof.data.request import OnError

_ROWS_PER_TICK = 256
_ROW_NUMBER = re.compile(r"/\d+$")


def fingerprint(reader: AbstractReader, ids: np.ndarray, *, owner: str, on_error: OnError = "raise") -> str:
    """SHA-256 over the ids and the contents of all examples, never over labels.

    Reads everything once, in order, one example in memory at a time. Contents are hashed as they are
    stored (the bytes of an image file, the UTF-8 of a text, the pixels where a source has only those), so
    moving a file or cutting a table into other row groups changes nothing, and re-encoding does.

    Args:
        on_error: with "skip" an absent content counts as absent; such an example is left out later.

    Raises:
        MissingFile: files that the data set names do not exist.
        BadData: empty cells, or files without permission; in both cases all are named.
    """
    digest = hashlib.sha256()
    errors: dict[str, BadData | MissingFile] = {}
    with progress(f"Reading {owner}", total=len(ids), unit="example") as bar:
        for row, example_id in enumerate(ids):
            try:
                content = _to_bytes(reader.read(row))
            except (BadData, MissingFile) as error:
                errors[str(example_id)] = error
                content = b""
            _update(digest, str(example_id).encode())
            _update(digest, content)
            if (row + 1) % _ROWS_PER_TICK == 0:
                bar.update(_ROWS_PER_TICK)
    if errors and on_error == "raise":
        _raise_all(errors, owner)
    return digest.hexdigest()


def _raise_all(errors: Mapping[str, BadData | MissingFile], owner: str) -> NoReturn:
    first_id, first = next(iter(errors.items()))
    if len(errors) == 1:
        raise unreadable(first, first_id, owner) from first
    reasons = {example_id: str(error) for example_id, error in errors.items()}
    raise unreadable_error(reasons, owner, type(first)) from first


def matrix_fingerprint(matrix: np.ndarray, ids: np.ndarray) -> str:
    """SHA-256 over a matrix of features and its ids."""
    head = [f"{matrix.shape} {matrix.dtype.str}", *map(str, ids)]
    digest = hashlib.sha256(derived_fingerprint("features", *head).encode())
    digest.update(np.ascontiguousarray(matrix).data)
    return digest.hexdigest()


def derived_fingerprint(parent: str, *parts: object) -> str:
    """The fingerprint of a data set that was made from another.

    Args:
        parent: fingerprint of the original.
        parts: what was done: a name, parameters, ids. Order counts.
    """
    digest = hashlib.sha256()
    for part in _texts(parent, *parts):
        _update(digest, part.encode())
    return digest.hexdigest()


def _texts(*parts: object) -> Iterable[str]:
    for part in parts:
        if isinstance(part, np.ndarray):
            yield str(len(part))
            yield from map(str, part)
        else:
            yield str(part)


def _update(digest: Any, content: bytes) -> None:
    """Length first, so that no two lists of contents run together to the same bytes."""
    digest.update(len(content).to_bytes(8, "little"))
    digest.update(content)


def _to_bytes(content: Any) -> bytes:
    if content is None:
        raise BadData("it is missing (an empty cell)")
    if isinstance(content, tuple):
        parts = [_to_bytes(each) for each in content]
        return b"".join(len(part).to_bytes(8, "little") + part for part in parts)
    if isinstance(content, Image.Image):
        return f"{content.mode} {content.size} ".encode() + content.tobytes()
    return content.encode() if isinstance(content, str) else content


def shared_with(few: Dataset, many: Dataset) -> list[str]:
    """Ids in `many` of the examples that `few` has, too, whatever they are called there.

    Copies of a file are found, an image that was encoded anew is not.
    """
    known = set(_digests(few))
    return [str(many.ids[row]) for row, digest in enumerate(_digests(many)) if digest in known]


def content_hashes(dataset: Dataset) -> list[str]:
    """A short hash of each example, where ids are row numbers such as `train/17`; else none.

    Such an id names another example after a row is inserted or deleted before it.
    """
    if not all(_ROW_NUMBER.search(str(each)) for each in dataset.ids.tolist()):
        return []
    return [digest.hex()[:16] for digest in _digests(dataset)]


def _digests(dataset: Dataset) -> Iterator[bytes]:
    for row in range(len(dataset)):
        yield hashlib.blake2b(_as_bytes(raw_contents(dataset.examples, row)), digest_size=16).digest()


def _as_bytes(contents: Any) -> bytes:
    if isinstance(contents, bytes):
        return contents
    if isinstance(contents, str | tuple):
        return _to_bytes(contents)
    values = np.asarray(contents)
    return f"{values.dtype.str}{values.shape}".encode() + values.tobytes()
