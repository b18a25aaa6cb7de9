"""The files under class folders: each real folder is read once, whatever links lead to it."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from noiseproof.core.errors import BadData
from noiseproof.core.plurals import counted
from noiseproof.core.storage.marks import MARK, is_ours
from noiseproof.core.system_errors import check_text

IMAGE_SUFFIXES = (
    ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm",
    ".tif", ".tiff", ".webp",
)  # fmt: skip
# Folders and files that operating systems and archivers leave, in small letters.
_JUNK = {
    "__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "__pycache__",
    "thumbs.db", "desktop.ini",
}  # fmt: skip
_RealFolder = tuple[int, int]  # device and inode


class FolderWalk:
    """All files under the class folders of a data set.

    Attributes:
        links_passed_over: symbolic links to folders that are read already, or that hold the data set.
        results: folders that noiseproof wrote, which are no data.
        others: class -> suffix -> number of files that are no images.

    Raises:
        BadData: noiseproof wrote the root itself.
    """

    def __init__(self, root: Path) -> None:
        if (root / MARK).is_file():
            raise BadData(
                f"{str(root)!r} holds results of noiseproof, by the file {MARK!r} in it; allowed: a folder "
                "of class folders. Next: name your data; if its images are yours, move them elsewhere."
            )
        self._root = root
        self.results: list[str] = []
        self.links_passed_over: list[str] = []
        self.others: dict[str, Counter[str]] = {}

    @cached_property
    def class_folders(self) -> list[str]:
        """Names of the folders in the root that noiseproof did not write."""
        names = [entry.name for entry in _entries(self._root) if entry.is_dir()]
        return [name for name in names if not self._is_result(self._root / name)]

    @cached_property
    def loose_images(self) -> list[str]:
        """Names of the images in the root itself, sorted."""
        return [entry.name for entry in _entries(self._root) if entry.is_file() and _is_image(entry.name)]

    @cached_property
    def loose_others(self) -> Counter[str]:
        """Suffix -> number of files in the root itself that are no images."""
        files = (entry for entry in _entries(self._root) if entry.is_file() and not _is_image(entry.name))
        return Counter(_suffix(Path(entry.name)) for entry in files)

    def images_of(self, classes: Sequence[str]) -> dict[str, list[str]]:
        """Class -> paths of its images relative to the root, with slashes on every system, sorted.

        Real folders belong to the class they lie in; only then are links followed.

        Raises:
            BadData: two class folders are one folder, or a folder cannot be read.
        """
        self._read: dict[_RealFolder, str] = {}
        for folder in (self._root.resolve(), *self._root.resolve().parents):
            self._read[_identity(folder)] = str(folder)
        for name in classes:
            self._claim_class(name)
        found: dict[str, list[str]] = {name: [] for name in classes}
        self.others = {name: Counter() for name in classes}
        links: deque[tuple[str, Path]] = deque()
        for name in classes:
            self._walk(name, self._root / name, found[name], links)
        while links:
            name, link = links.popleft()
            if self._claim(link):
                self._walk(name, link, found[name], links)
            else:
                self.links_passed_over.append(link.relative_to(self._root).as_posix())
        return {name: sorted(paths) for name, paths in found.items()}

    def describe_others(self, name: str) -> str:
        """A sentence on the files of a class folder that are no images; empty without such files."""
        counts = self.others[name]
        return f"It holds {_described(counts)}. " if counts else ""

    def notes(self, owner: str, empty: Sequence[str] = (), *, has_labels: bool = True) -> list[str]:
        """Sentences on what was passed over.

        Args:
            owner: name of the data set.
            empty: class folders without images.
            has_labels: whether only images in class folders count; else all do.
        """
        notes = []
        others = sum(self.others.values(), Counter[str]() if has_labels else self.loose_others)
        if others:
            notes.append(f"Files of {owner} that are no images of a known type: {_described(others)}.")
        if self.loose_images and has_labels:
            num = len(self.loose_images)
            verbs = ("lies", "has") if num == 1 else ("lie", "have")
            notes.append(
                f"{counted(num, 'image')} of {owner} {verbs[0]} outside the class folders and {verbs[1]} no "
                "label."
            )
        if self.links_passed_over:
            shown = ", ".join(self.links_passed_over[:5])
            num = len(self.links_passed_over)
            verbs = ("leads", "is") if num == 1 else ("lead", "are")
            notes.append(
                f"{counted(num, 'symbolic link')} of {owner} {verbs[0]} to folders that are read already and "
                f"{verbs[1]} not followed: {shown}."
            )
        if self.results:
            notes.append(
                f"Folders of {owner} with results of noiseproof were left out: {', '.join(self.results[:5])}."
            )
        if empty:
            notes.append(f"Class folders of {owner} without images: {', '.join(empty)}.")
        return notes

    def _is_result(self, folder: Path) -> bool:
        """Whether noiseproof wrote a folder; it is noted."""
        if _holds_results(folder):
            self.results.append(folder.relative_to(self._root).as_posix())
            return True
        return False

    def _claim_class(self, name: str) -> None:
        folder = self._root / name
        identity = _identity(folder)
        if identity in self._read:
            raise BadData(
                f"The class folder {str(folder)!r} is the same folder as {self._read[identity]!r}, by a "
                "link; allowed: a folder for each class. Next: remove one of the two."
            )
        self._read[identity] = str(folder)

    def _claim(self, folder: Path) -> bool:
        """Whether this real folder was not read before; from now on it is."""
        identity = _identity(folder)
        is_new = identity not in self._read
        self._read.setdefault(identity, str(folder))
        return is_new

    def _walk(self, name: str, top: Path, found: list[str], links: deque[tuple[str, Path]]) -> None:
        """Collect the files under one real folder; links to other folders are put off."""
        folders = [top]
        while folders:
            folder = folders.pop()
            for entry in _entries(folder):
                path = folder / entry.name
                if entry.is_dir():
                    if self._is_result(path):
                        continue
                    if entry.is_symlink():
                        links.append((name, path))
                    elif self._claim(path):
                        folders.append(path)
                elif _is_image(entry.name):
                    found.append(path.relative_to(self._root).as_posix())
                else:
                    self.others[name][_suffix(path)] += 1


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """The contents of a folder, sorted, without hidden names and junk."""
    try:
        with os.scandir(folder) as entries:
            found = sorted((one for one in entries if not _is_junk(one.name)), key=lambda one: one.name)
    except OSError as error:
        raise _closed(folder, error) from error
    for one in found:
        check_text(one.name, f"A name in the folder {str(folder)!a}")
    return found


def _closed(folder: Path, error: OSError) -> BadData:
    return BadData(
        f"The folder {str(folder)!r} cannot be read ({error.strerror}); allowed: folders that can be "
        "listed. Next: change its permissions, or move it out of the data set."
    )


def _holds_results(folder: Path) -> bool:
    try:
        return is_ours(folder)
    except OSError as error:  # of looking for the mark, where the folder is closed
        raise _closed(folder, error) from error


def _identity(folder: Path) -> _RealFolder:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES)


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name.lower() in _JUNK


def _suffix(path: Path) -> str:
    return path.suffix.lower() or "without a suffix"


def _described(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common())
