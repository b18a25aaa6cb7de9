"""The mark of folders that noiseproof writes: readers of data leave them out, writers use no others.

Results in a data folder would be examples of the next run, and a user's own file with the name of one of ours
would be replaced. So a folder gets the mark before anything else, and gets it only where nothing of somebody
else is in it.
"""

from __future__ import annotations

import re
from pathlib import Path

from noiseproof.core.errors import invalid
from noiseproof.core.storage.files import not_writable

MARK = ".noiseproof"
_CONTENT = (
    "noiseproof wrote this folder: its readers of data leave it out, and it may replace any file in it.\n"
    "Keep data of yours in a folder of their own.\n"
)
# Versions before the mark left one of these, and folders of these names.
_SIGNS = (".stages", ".encoders", "study.jsonl")
_FOLDERS = re.compile(r"heads|thumbnails|tables|figures|tunings|fiftyone|view-\d")
_KEY = re.compile(r"[0-9a-f]{64}")  # of a set of features
# Notes that may lie in a folder before the first start: job scripts and their logs.
_NOTES = (".txt", ".md", ".log", ".out", ".err", ".sh", ".yaml", ".yml", ".toml")


def claim(folder: Path, *, argument: str = "out", next_step: str = "Next: name another folder.") -> bool:
    """Make a folder, unless it exists, and mark it as one of ours.

    Args:
        folder: a new one, an empty one, one of ours, or one with notes only.
        argument: name of the argument that it is the value of, for messages.
        next_step: advice where it is none of these.

    Returns:
        Whether the mark is new.

    Raises:
        InvalidArgument: it holds files of somebody else, or cannot be made or written to.
        NoSpaceLeft: the disk is full.
    """
    try:
        if (folder / MARK).is_file():
            return False
        others = _others(folder)
        if not others:
            folder.mkdir(parents=True, exist_ok=True)
            # Without a temporary file, which a kill would leave in a store: an empty mark is one, too.
            _write(folder / MARK)
    except OSError as error:
        raise not_writable(error, folder / MARK, argument, next_step) from error
    if others:
        more = "" if len(others) == 1 else f" and {len(others) - 1} more"
        raise invalid(
            argument, str(folder), "a new or empty folder, or one that noiseproof wrote",
            f"It has {others[0]!r}{more}, which noiseproof did not write. {next_step}",
        )  # fmt: skip
    return True


def _write(mark: Path) -> None:
    try:
        mark.write_text(_CONTENT)
    except OSError:
        mark.unlink(missing_ok=True)  # half of it, where the disk is full
        raise


def is_ours(folder: Path) -> bool:
    """Whether noiseproof wrote a folder; versions before the mark are known by what they left."""
    if (folder / MARK).is_file() or (folder / ".stages").is_dir():
        return True
    is_of_run = folder.name == "thumbnails" and (folder.parent / "thumbnails.json").is_file()
    return is_of_run or bool(_KEY.fullmatch(folder.name))


def _others(folder: Path) -> list[str]:
    """Visible files and folders in a folder that are neither ours nor notes, sorted."""
    if not folder.is_dir():
        return []
    is_old = any((folder / sign).exists() for sign in _SIGNS)
    return sorted(path.name for path in folder.iterdir() if not _may_stay(path, is_old=is_old))


def _may_stay(path: Path, *, is_old: bool) -> bool:
    if path.name.startswith("."):
        return True
    if path.is_dir():
        return is_ours(path) or (is_old and bool(_FOLDERS.fullmatch(path.name)))
    return is_old or path.suffix.lower() in _NOTES
