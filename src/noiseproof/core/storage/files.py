"""Files that are written completely or not at all, folders for one process at a time, and hashes."""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from noiseproof.core.errors import CannotWrite, InvalidArgument, NoiseproofError, NoSpaceLeft, invalid
from noiseproof.core.storage.inner_paths import inner_path

LOCK = ".lock"  # file in a folder that one process at a time writes to
_MOST_NAME = 40  # characters of a name in that of its temporary file
_UNFINISHED = re.compile(r"\.noiseproof\..*\.partial")  # name of what a killed process leaves
_SWEEP_DEPTH = 4  # no flow writes deeper below the folder that it locks
_FULL = {
    errno.ENOSPC: "No space left on the device of {folder!r}",
    errno.EDQUOT: "The disk quota of {folder!r} is used up",
    errno.EFBIG: "The largest file size that is allowed in {folder!r} is reached",
}
_REFUSED = (
    errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG,
    errno.ELOOP,
)  # fmt: skip


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write to the temporary path this yields; on success it takes the place of `path`.

    The bytes are on disk before the name changes and the folder entry after, so a power cut at any
    point leaves the old file or the new one. On an error nothing is left behind; a kill leaves the temporary
    file, which `locked_folder` deletes. The file has the permissions that the user's umask gives.

    Args:
        path: the final name. Its folder is made if needed.

    Raises:
        NoSpaceLeft: disk or quota is full; `path` is as it was.
        CannotWrite: its folder cannot be made or written to.
    """
    final = Path(path)
    partial = _unfinished(final).absolute()  # Arrow takes "a:b/c" for an address
    try:
        with explaining(final):
            final.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            yield partial
            _sync(partial)
            partial.replace(final)
            _sync(final.parent)
    finally:
        with suppress(OSError):
            partial.unlink()


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """A new folder for files that are moved away when they are finished; deleted with its contents."""
    folder = _unfinished(parent / "folder")
    with explaining(folder):
        folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def delete_folder(folder: Path) -> None:
    """Delete a folder with its contents; wherever this is killed, it is whole or gone."""
    gone = folder.replace(_unfinished(folder))
    shutil.rmtree(gone)


def _unfinished(final: Path) -> Path:
    """A new temporary name beside `final`, which `_sweep` knows; cut, since names have at most 255 bytes."""
    return final.with_name(f".noiseproof.{final.name[:_MOST_NAME]}.{secrets.token_hex(4)}.partial")


@contextmanager
def locked_folder(
    folder: Path, *, argument: str = "out", on_wait: Callable[[], None] | None = None
) -> Iterator[None]:
    """Lock a folder against a second process, and delete what killed processes left unfinished in it.

    A process that is killed lets go of its lock.

    Args:
        folder: made if need be.
        argument: name of the argument that it is the value of.
        on_wait: called before this waits for another process; without it a folder in use is refused.

    Raises:
        InvalidArgument: another process uses it, or it cannot be written to.
        NoSpaceLeft: disk or quota is full.
    """
    from filelock import FileLock, Timeout  # loads asyncio

    lock = FileLock(inner_path(folder, LOCK))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if on_wait is None:
                raise
            on_wait()
            lock.acquire()
    except Timeout as error:
        raise InvalidArgument(
            f"`{argument}` is {str(folder)!r}, which another noiseproof is writing to; allowed: one at a "
            "time. Next: wait for it, end it (Ctrl-C ends 'noiseproof review --serve'), or name another "
            "folder."
        ) from error
    except (OSError, NotImplementedError) as error:  # the latter where a file system has no locks
        raise not_writable(error, folder / LOCK, argument) from error
    try:
        _sweep(folder)
        yield
    finally:
        lock.release()


def not_writable(
    error: Exception, path: Path, argument: str, next_step: str = "Next: name another folder."
) -> NoiseproofError:
    """The one wording where the first file of a folder cannot be written, or its disk is full."""
    allowed = "a folder that can be made and written to"
    return disk_full(error, path) or invalid(argument, str(path.parent), allowed, f"{next_step} ({error})")


def _sweep(folder: Path, depth: int = _SWEEP_DEPTH) -> None:
    """Delete what `replacing` and the like left in a folder; not where another process may be at work."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in list(entries):
            is_folder = entry.is_dir(follow_symlinks=False)
            if _UNFINISHED.fullmatch(entry.name):
                if is_folder:
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    Path(entry.path).unlink(missing_ok=True)
            elif is_folder and depth > 0 and not (Path(entry.path) / LOCK).exists():
                _sweep(Path(entry.path), depth - 1)


def delete_unfinished(folder: Path, name: str | None = None) -> None:
    """Delete what killed processes left in a folder without a lock; not while others write these files."""
    start = "*" if name is None else glob.escape(name[:_MOST_NAME])
    for path in folder.glob(f".noiseproof.{start}.????????.partial"):
        path.unlink(missing_ok=True)


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
    with explaining(final):
        try:
            with final.open("ab") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                os.truncate(final, size)  # the next line must not begin in the middle of this one
            raise


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


@contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Explain what goes wrong with the disk while `path` is written, whichever library meets it."""
    try:
        yield
    except NoiseproofError:
        raise
    except Exception as error:
        explained = disk_full(error, path) or _refused(error, path)
        if explained is None:
            raise
        raise explained from error


def disk_full(error: BaseException, path: Path | None = None) -> NoSpaceLeft | None:
    """The one wording where disk, quota or limit of file sizes caused an error; `None` for other errors.

    Args:
        error: of Python or of a library; those that are no `OSError` have the number in their text.
        path: what was being written; by default the file of the error.
    """
    if isinstance(error, NoSpaceLeft):
        return error
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (found := re.search(r"\b(?:os error|errno) (\d+)", str(error))):
        number = int(found[1])
    if number not in _FULL:
        return None
    name = path or getattr(error, "filename", None)
    final = Path(os.fspath(name)) if isinstance(name, str | os.PathLike) else Path("output")
    reason = _FULL[number].format(folder=str(final.parent))
    return NoSpaceLeft(
        f"{reason} while writing {final.name!r}; nothing half-written was kept. "
        "Next: free some space and start the same command again."
    )


def _refused(error: Exception, path: Path) -> CannotWrite | None:
    """The wording for a file that cannot be made; `None` for other errors, such as of a file that is read."""
    if not isinstance(error, OSError) or error.errno not in _REFUSED:
        return None
    name = error.filename
    is_named = isinstance(name, str | os.PathLike) and not _UNFINISHED.fullmatch(Path(name).name)
    if is_named and Path(name) not in (path, *path.parents):
        return None
    return CannotWrite(
        f"{str(path)!r} cannot be written ({error.strerror}: {error.filename!r}); allowed: a file in a "
        "folder that exists or can be made, and may be written to. Next: name another folder."
    )


def digest(value: Any) -> str:
    """SHA-256 of plain values and arrays, the same in every process."""
    import numpy as np  # a third of the time that --help takes

    if isinstance(value, np.ndarray):
        head = f"{value.dtype.str}{value.shape}".encode()
        return hashlib.sha256(head + np.ascontiguousarray(value).tobytes()).hexdigest()
    text = json.dumps(value, sort_keys=True, default=_digest_or_text, allow_nan=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _digest_or_text(value: Any) -> str:
    import numpy as np

    if isinstance(value, np.ndarray):
        return digest(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be part of a key")


def hash_file(path: Path | Traversable) -> str:
    """SHA-256 of the bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
