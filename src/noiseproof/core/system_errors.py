"""Errors of the operating system as one sentence: permissions, names, links, memory."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from noiseproof.core.errors import BadData, CannotWrite, InvalidArgument, MissingFile, NoiseproofError, shown

_ADVICE = {
    errno.EACCES: (BadData, "files and folders that you may read", "change its permissions (chmod)"),
    errno.EPERM: (BadData, "files and folders that you may read", "change its permissions (chmod)"),
    errno.ENOENT: (MissingFile, "a path that exists", "check the path"),
    errno.ENOTDIR: (InvalidArgument, "a path whose parts are folders", "check the path"),
    errno.EISDIR: (BadData, "a file", "name a file in it"),
    errno.ELOOP: (InvalidArgument, "a path whose symbolic links end somewhere", "remove the link"),
    errno.ENAMETOOLONG: (InvalidArgument, "names of at most 255 bytes", "choose a shorter name"),
    errno.EROFS: (CannotWrite, "a disk that may be written to", "name another folder"),
    errno.EMFILE: (BadData, "fewer open files", "raise the limit (ulimit -n)"),
    errno.EIO: (BadData, "a disk that can be read", "copy the file again"),
}


def as_sentence(error: BaseException) -> NoiseproofError | None:
    """An error of the operating system as one for users; `None` for others."""
    if isinstance(error, NoiseproofError):
        return error
    if isinstance(error, MemoryError):
        return BadData(
            "There is not enough memory. Next: use fewer examples (--limit), a smaller batch, or a machine "
            "with more."
        )
    if not isinstance(error, OSError) or error.errno not in _ADVICE:
        return None
    kind, allowed, next_step = _ADVICE[error.errno]
    name = "A file" if error.filename is None else shown(os.fsdecode(error.filename))
    return kind(f"{name} cannot be opened ({error.strerror}); allowed: {allowed}. Next: {next_step}.")


def expanded(path: Path) -> Path:
    """The path with the home folder in place of `~`.

    Raises:
        InvalidArgument: the home folder is not known, as in some containers.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise InvalidArgument(
            f"The home folder in {str(path)!r} is not known: HOME is not set, and this user has none; "
            "allowed: a path without '~'. Next: set HOME, or name the folder (the feature store with --cache "
            "or NOISEPROOF_CACHE)."
        ) from error


def check_text(text: str, argument: str) -> None:
    """Raise `InvalidArgument` for a name that is not UTF-8, which no card or table could hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgument(
            f"{argument} is {shown(text)}, which is not UTF-8; allowed: names in UTF-8. Next: rename the "
            "file, or write the text in UTF-8."
        ) from error
