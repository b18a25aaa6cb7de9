"""NPY files and NPZ archives, read without running code from them: only the arrays that are named.

The header of an array is compared with the bytes that follow it before memory is taken, so that a file of a
few bytes cannot ask for terabytes.
"""

from __future__ import annotations

import math
import os
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from noiseproof.core.arrays import native
from noiseproof.core.errors import BadData, MissingFile, first_line
from noiseproof.core.limits import UNPACKED_BYTES, above, is_bomb
from noiseproof.core.storage.regular_files import open_regular

_MAX_HEADER_BYTES = 10_000  # NumPy's own limit
_BLOCK_BYTES = 1 << 20
_ERRORS = (
    ValueError, OSError, EOFError, SyntaxError, TypeError, KeyError, IndexError, AttributeError,
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, NotImplementedError, RuntimeError, OverflowError,
    MemoryError, tokenize.TokenError,
)  # fmt: skip


class Archive(Mapping[str, np.ndarray]):
    """The arrays of an open NPZ archive by name, each read when it is taken."""

    def __init__(self, archive: zipfile.ZipFile, owner: str) -> None:
        self._archive, self._owner = archive, owner
        self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members  # without reading the array

    def __getitem__(self, name: str) -> np.ndarray:
        """One array, read now.

        Raises:
            BadData: it is damaged, or of a type that is not read.
        """
        info = self._members[name]
        with _explained(self._owner, "NPZ of numeric and text arrays", "np.savez"):
            if is_bomb(info.file_size, info.compress_size):
                size = above(f"the {info.file_size} bytes of {name!r}, unpacked,", UNPACKED_BYTES)
                raise ValueError(size)
            with self._archive.open(info) as file:
                return _read(file, info.file_size, f"{self._owner}: {name}")


@contextmanager
def open_archive(path: Path, owner: str) -> Iterator[Archive]:
    """An NPZ archive; its arrays are read when they are taken from it.

    Raises:
        MissingFile: the file does not exist.
        BadData: it is no NPZ.
    """
    with _opened(path) as file:
        with _explained(owner, "NPZ of numeric and text arrays", "np.savez"):
            archive = zipfile.ZipFile(file)
        with archive:
            yield Archive(archive, owner)


def read_array(path: Path, owner: str) -> np.ndarray:
    """The array of an NPY file, in the order of bytes of this machine.

    Raises:
        MissingFile: the file does not exist.
        BadData: it is no NPY file, or holds something else than numbers, booleans and texts.
    """
    with _opened(path) as file, _explained(owner, "NPY file of numbers or texts", "np.save"):
        if file.read(4) == b"PK\x03\x04":
            raise BadData(f"{owner!r} is an archive of arrays; allowed: one array. Next: call it .npz.")
        file.seek(0)
        return _read(file, os.fstat(file.fileno()).st_size, owner)


def map_array(path: Path, owner: str) -> np.ndarray:
    """The array of an NPY file, left on disk and read where it is touched; see `read_array`."""
    with _opened(path) as file, _explained(owner, "NPY file of numbers or texts", "np.save"):
        shape, is_fortran, dtype = _header(file, os.fstat(file.fileno()).st_size, owner)
        if not math.prod(shape):
            return np.empty(shape, dtype)
        order: Any = "F" if is_fortran else "C"
        return np.memmap(path, dtype, "r", file.tell(), shape, order)


def _read(file: Any, size_bytes: int, owner: str) -> np.ndarray:
    shape, is_fortran, dtype = _header(file, size_bytes, owner)
    flat = np.empty(math.prod(shape), dtype)
    if flat.nbytes:
        _fill(flat.view(np.uint8).data, file)
    array = flat.reshape(shape[::-1]).T if is_fortran else flat.reshape(shape)
    array = native(array)
    if dtype.kind == "U" and dtype.itemsize:
        codes = np.ascontiguousarray(array).view(np.uint32)
        if ((codes >= 0x110000) | ((codes >= 0xD800) & (codes < 0xE000))).any():
            raise ValueError("a text has a character that Unicode does not have")
    return array


def _fill(buffer: memoryview, file: Any) -> None:
    """Read in blocks, since a member of an archive would be in memory twice otherwise."""
    done = 0
    while done < len(buffer):
        block = file.read(min(_BLOCK_BYTES, len(buffer) - done))
        if not block:
            raise ValueError("it is shorter than its header says")
        buffer[done : done + len(block)] = block
        done += len(block)


def _header(file: Any, size_bytes: int, owner: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and type, from the first bytes; the rest of the file has room for them."""
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"its format is version {version}")
    shape, is_fortran, dtype = readers[version](file, max_header_size=_MAX_HEADER_BYTES)
    if dtype.hasobject:
        raise BadData(
            f"{owner!r} cannot be read: it holds Python objects (a pickle), which can run code when read. "
            "Allowed: an array of numbers or texts. Next: save it again, texts as an array of dtype str."
        )
    if dtype.kind not in "biufUS" or dtype.subdtype is not None:
        raise BadData(
            f"{owner!r} holds {dtype!s:.60}; allowed: whole numbers, real numbers, booleans and texts. "
            "Next: save it in one of these types."
        )
    if any(length < 0 for length in shape) or math.prod(shape) * dtype.itemsize > size_bytes - file.tell():
        raise ValueError(f"its header promises the shape {shape!s:.60}, and the file is shorter")
    return shape, is_fortran, dtype


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        file = open_regular(path)
    except FileNotFoundError as error:
        raise MissingFile(f"The file {str(path)!r} does not exist. Next: check the path.") from error
    with file:
        yield file


@contextmanager
def _explained(owner: str, allowed: str, function: str) -> Iterator[None]:
    try:
        yield
    except BadData:
        raise
    except _ERRORS as error:
        raise BadData(
            f"{owner!r} cannot be read: {first_line(error)}. Allowed: an {allowed}. Next: save it again with "
            f"{function}, texts as arrays of dtype str."
        ) from error
