"""Paths that a record names (a marker, a manifest, a list of files): they stay in the record's folder.

A folder may come from somebody else, so its records may name any file of this machine. Everything that reads,
replaces or deletes a file by a name from a record goes through here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from noiseproof.core.errors import DamagedFile

_MAX_SHOWN = 80


def check_inner_path(name: str) -> str:
    """A relative path as records hold it, with slashes on every system; it leads to no other folder.

    Raises:
        ValueError: it is empty or absolute, begins with a drive, or has a part `..` or `.` or a NUL.
    """
    parts = re.split(r"[/\\]", name)  # a folder may have been made on another system
    if {"", ".", ".."} & set(parts) or re.match(r"[A-Za-z]:", name) or "\0" in name:
        raise ValueError(f"{name[:_MAX_SHOWN]!r} is no path inside the folder of the record")
    return name


# The type of such a path in a model, so that a record with another one counts as damaged.
InnerPath = Annotated[str, AfterValidator(check_inner_path)]


def inner_path(folder: Path, name: str) -> Path:
    """Path of a file that a record in this folder names.

    Links inside the folder are followed where they stay in it, since a folder may come with links that lead
    to files of yours.

    Args:
        folder: of the record; it may itself be reached by a link.
        name: relative to the folder; the file need not exist.

    Raises:
        DamagedFile: the path leads out of the folder, by its name or by a symbolic link.
    """
    try:
        path = folder / check_inner_path(name)
    except ValueError as error:
        raise DamagedFile(
            f"A record in {str(folder)!r} names a file of another folder: {error}. Allowed: names of files "
            "in it, such as 'heads/linear.json'. Next: use a folder that you trust, or name a new one."
        ) from error
    if is_link_outside(folder, path):
        raise DamagedFile(
            f"{str(path)!r} leads out of {str(folder)!r} by a symbolic link; allowed: files in the folder. "
            "Next: replace the link by what it leads to, or name another folder."
        )
    return path


def is_link_outside(folder: Path, path: Path) -> bool:
    """Whether a path under a folder leads out of it by a symbolic link."""
    try:
        return not path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # links in a circle
        return True
