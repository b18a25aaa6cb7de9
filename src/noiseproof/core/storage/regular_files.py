"""Open regular files only: reading a pipe waits for ever, and a device never ends."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from noiseproof.core.errors import BadData
from noiseproof.core.limits import EXAMPLE_BYTES, above, limit

_KINDS = {
    stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket",
}  # fmt: skip


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading in binary; what it is is checked once it is open.

    Raises:
        BadData: it is a folder, a pipe, a device or a socket.
        OSError: it cannot be opened.
    """
    # Without O_NONBLOCK, opening a pipe waits for a writer.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _check(os.fstat(handle).st_mode, path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: str | os.PathLike[str], *, max_bytes: int | None = None) -> bytes:
    """The bytes of a regular file.

    Args:
        max_bytes: largest size; `limits.EXAMPLE_BYTES` if not given.

    Raises:
        BadData: it is no regular file, or a larger one.
        OSError: it cannot be read.
    """
    most = limit(EXAMPLE_BYTES) if max_bytes is None else max_bytes
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            larger = f"are more than {most}" if max_bytes is not None else above("", EXAMPLE_BYTES).strip()
            raise BadData(f"the {size} bytes of {str(path)!r} {larger}")
        return file.read()


def check_regular(path: str | os.PathLike[str]) -> None:
    """Raise `BadData` if this exists and is no regular file, for readers that open it themselves."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 (a path in any form)
    except OSError:
        return  # the reader explains it
    _check(mode, path)


def _check(mode: int, path: str | os.PathLike[str]) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise BadData(f"{str(Path(path))!r} is {kind}; allowed: a regular file")
