"""Files that are written completely or not at all, and hashes of files and values."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from noiseproof.core.errors import CannotWrite, NoSpaceLeft
from noiseproof.core.inner_paths import inner_path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write to the temporary path this yields; on success it takes the place of `path`.

    The bytes are on disk before the name changes and the folder entry after, so a power cut at any
    point leaves the old file or the new one. On an error nothing is left behind.

    Args:
        path: the final name. Its folder is made if needed.

    Raises:
        NoSpaceLeft: the disk is full; `path` is as it was.
        CannotWrite: its folder cannot be made or written to.
    """
    final = Path(path)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=final.parent, prefix=f".{final.name}.", suffix=".partial")
        os.close(handle)
    except OSError as error:
        raise _explained(error, final) from error
    partial = Path(name)
    try:
        yield partial
        _sync(partial)
        partial.chmod(0o644)
        partial.replace(final)
        _sync(final.parent)
    except OSError as error:
        raise _explained(error, final) from error
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a whole file atomically."""
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a JSON document atomically; NaN and infinity are refused, since JSON has neither."""
    write_bytes(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def append_lines(path: str | os.PathLike[str], lines: Iterable[str]) -> None:
    """Add lines to a file in one write and wait until they are on disk: all of them or none.

    A kill loses at most these lines; a line that was cut short has no end, so `whole_lines` drops it.

    Raises:
        NoSpaceLeft: the disk is full.
        DamagedFile: the name is a symbolic link out of its folder.
    """
    content = "".join(f"{line}\n" for line in lines).encode()
    final = inner_path(Path(path).parent, Path(path).name)
    size = final.stat().st_size if final.exists() else 0
    try:
        with final.open("ab") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with suppress(OSError):
            os.truncate(final, size)  # the next line must not begin in the middle of this one
        raise _explained(error, final) from error


def whole_lines(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file up to the end of its last complete line."""
    content = Path(path).read_bytes()
    return content[: content.rfind(b"\n") + 1]


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _explained(error: OSError, path: Path) -> OSError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpaceLeft(
            f"No space left on the device of {str(path.parent)!r} while writing {path.name!r}; "
            "nothing half-written was kept. Next: free some space and start the same command again."
        )
    if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EROFS):
        return CannotWrite(
            f"{str(path)!r} cannot be written ({error.strerror}: {error.filename!r}); allowed: a file in a "
            "folder that exists or can be made, and may be written to. Next: name another folder."
        )
    return error


def digest(value: Any) -> str:
    """SHA-256 of plain values and arrays, the same in every process."""
    if isinstance(value, np.ndarray):
        head = f"{value.dtype.str}{value.shape}".encode()
        return hashlib.sha256(head + np.ascontiguousarray(value).tobytes()).hexdigest()
    text = json.dumps(value, sort_keys=True, default=_digest_or_text, allow_nan=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _digest_or_text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return digest(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be part of a key")


def hash_file(path: Path) -> str:
    """SHA-256 of the bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
