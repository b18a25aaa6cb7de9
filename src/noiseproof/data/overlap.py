"""Examples that two data sets share, told by their contents."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from noiseproof.data.examples import raw_contents
from noiseproof.records import Dataset


def shared_with(few: Dataset, many: Dataset) -> list[str]:
    """Ids in `many` of the examples that `few` has, too, whatever they are called there.

    Copies of a file are found, an image that was encoded anew is not.
    """
    known = set(_digests(few))
    return [str(many.ids[row]) for row, digest in enumerate(_digests(many)) if digest in known]


def _digests(dataset: Dataset) -> Iterator[bytes]:
    for row in range(len(dataset)):
        yield hashlib.blake2b(_as_bytes(raw_contents(dataset.examples, row)), digest_size=16).digest()


def _as_bytes(contents: Any) -> bytes:
    if isinstance(contents, bytes):
        return contents
    if isinstance(contents, str):
        return contents.encode()
    values = np.asarray(contents)
    return f"{values.dtype.str}{values.shape}".encode() + values.tobytes()
