"""Finished stages of a flow, recorded on disk, so that a second start resumes where the first stopped.

Every flow with an output folder uses this. The feature store and the rows of a study do not: many processes
share the first, and the second is appended row by row.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from noiseproof.core.errors import CheckpointMismatch, invalid
from noiseproof.core.storage.checksums import write_record
from noiseproof.core.storage.documents import Document, read_document
from noiseproof.core.storage.files import delete_folder, digest, hash_file
from noiseproof.core.storage.inner_paths import InnerPath, inner_path, is_link_outside
from noiseproof.core.version import __version__
from noiseproof.pipelines.outputs.provenance import made_with

SCHEMA = 3
_FOLDER = ".stages"
# Leftovers of these names are deleted, so a folder that already has such files of a user is refused.
_OURS = (
    "heads/*-seed*.safetensors", "heads/*-seed*.json", "thumbnails/[0-9][0-9][0-9][0-9][0-9].png",
)  # fmt: skip


class Marker(Document):
    """A finished stage.

    Attributes:
        key: hash of everything its result depends on.
        parts: name -> hash of one dependency, to name what changed.
        title: under which the stage is shown and its wall time counts.
        wall_s: how long it took.
        files: name, relative to the folder -> SHA-256.
        made_with: command, versions and hardware of the start that did it.
    """

    SCHEMA: ClassVar[int] = SCHEMA
    key: str
    parts: dict[str, str]
    title: str
    wall_s: float
    files: dict[InnerPath, str]
    made_with: dict[str, Any]


class Stages:
    """The finished stages of one output folder.

    A stage has a key, the hash of everything its result depends on, and files it leaves. Its marker is
    written after the files, so its existence means they are complete; a marker with another key, or files
    that were changed, mean the stage is done again.

    New files wait in a folder of their own until `publish`, so a start that fails leaves the earlier results
    untouched, and the next start resumes from the waiting files.

    Args:
        folder: the output folder, made if need be.
        command: recorded, with versions and hardware, with each stage that this start does.
        is_writer: whether this process writes; another process of the same training only takes part.

    Raises:
        InvalidArgument: a folder of other use has files that would be deleted.
        DamagedFile: its markers are reached by a symbolic link out of the folder.
    """

    def __init__(self, folder: Path, *, command: str = "", is_writer: bool = True) -> None:
        _check_nothing_is_lost(folder)
        self.folder = folder
        self.wall_s: dict[str, float] = {}
        self.made_with: dict[str, Mapping[str, Any]] = {}
        self.done: set[str] = set()  # names of the stages that this start did
        self.redone: list[str] = []
        self._command, self._is_writer = command, is_writer
        for path in (folder / _FOLDER, *(folder / _FOLDER).rglob("*")):
            inner_path(folder, path.relative_to(folder).as_posix())
        self._waiting = folder / _FOLDER / "waiting"
        self._used: dict[str, Marker] = {}
        (self._waiting / _FOLDER).mkdir(parents=True, exist_ok=True)

    def once(
        self,
        name: str,
        *,
        depends_on: Any,
        make: Callable[[Path], Iterable[str]],
        title: str = "",
        spent_s: float = 0.0,
        if_changed: Literal["redo", "refuse"] = "redo",
    ) -> str:
        """Do a stage unless an earlier start has finished it.

        Args:
            name: of the stage, unique in the run.
            depends_on: everything the result depends on, plain values and arrays.
            make: does the work and writes files into the folder it is given; returns their names, relative
                to it.
            title: under which the stage is shown and its wall time counts; stages may share one.
            spent_s: time the stage took before this call.
            if_changed: with another key, do a finished stage again, or refuse, so that a typo never costs
                hours of training. A new version of noiseproof does stages again but refuses none.

        Returns:
            The key, for stages that depend on this one.

        Raises:
            CheckpointMismatch: with "refuse", the stage is finished with another key; the differences are
                named.
        """
        title = title or name
        content = {"schema": SCHEMA, "name": name, "on": depends_on}
        key = digest(content if if_changed == "refuse" else content | {"version": __version__})
        parts = {part: digest(value) for part, value in depends_on.items()} if _is_table(depends_on) else {}
        marker = self._finished(name, key)
        if marker is None:
            self._note_change(name, title, key, parts, if_changed)
            self._warn_of_damage(name, key, title)
            self._forget(self._waiting, name)
            provenance = self._provenance
            begin = time.perf_counter()
            files = list(make(self._waiting))
            if not self._is_writer:
                return key
            wall_s = time.perf_counter() - begin + spent_s
            self.done.add(name)
            hashes = {file: hash_file(self._waiting / file) for file in files}
            marker = Marker(
                key=key, parts=parts, title=title, wall_s=wall_s, files=hashes, made_with=provenance
            )
            write_record(_marker(self._waiting, name), marker.to_json())
        self._used[name] = marker
        self.made_with[title] = marker.made_with
        self.wall_s[title] = self.wall_s.get(title, 0.0) + marker.wall_s
        return key

    @cached_property
    def _provenance(self) -> dict[str, Any]:
        """Command, versions and hardware; found when needed, since looking for a GPU loads PyTorch."""
        return made_with(self._command)

    def _note_change(
        self, name: str, title: str, key: str, parts: Mapping[str, str], if_changed: Literal["redo", "refuse"]
    ) -> None:
        """Remember a finished stage that is done again, or refuse to do it again."""
        before = [marker for home in (self.folder, self._waiting) if (marker := self._read(home, name))]
        if not before:
            return
        others = [marker for marker in before if marker.key != key]
        if if_changed == "refuse" and others:
            old = others[0].parts
            differing = sorted(part for part in old.keys() | parts.keys() if old.get(part) != parts.get(part))
            raise CheckpointMismatch(
                f"`out` is {str(self.folder)!r}, which has a finished {title} with other settings "
                f"({', '.join(differing)}); allowed: a new folder, or the same settings. Next: give another "
                "--out, or the settings of before."
            )
        self.redone += [title] if title not in self.redone else []

    def _warn_of_damage(self, name: str, key: str, title: str) -> None:
        """Name files that have changed, before their stage is done again, which may take hours."""
        for homes in ((self.folder,), (self._waiting, self.folder)):
            marker = self._read(homes[0], name)
            for file, sha256 in marker.files.items() if marker is not None and marker.key == key else ():
                path = next((home / file for home in homes if (home / file).is_file()), None)
                if path is not None and hash_file(path) != sha256:
                    warnings.warn(
                        f"{str(path)!r} is damaged or was edited: its SHA-256 is not the one it was written "
                        f"with. {title.capitalize()} is done again.",
                        stacklevel=3,
                    )

    def check_free(
        self, files: Iterable[str], *, unedited: Iterable[str] = (), cards: Iterable[str] = ()
    ) -> None:
        """Refuse to overwrite files that no stage wrote.

        Args:
            files: names of what a stage will write.
            unedited: files that people may edit; they are refused also where they were edited.
            cards: files written beside the stages; where a stage is finished here, they are ours.

        Raises:
            InvalidArgument: `publish` would replace a file of the user, which is named.
        """
        ours: dict[str, list[str]] = {}
        for marker in self._markers():
            for file, key in marker.files.items():
                ours.setdefault(file, []).append(key)
        for file in unedited:
            is_ours = file in ours and (self.folder / file).is_file()
            if is_ours and hash_file(self.folder / file) not in ours[file]:
                raise invalid(
                    "out", str(self.folder), "a folder whose exports are as they were written",
                    f"{file!r} was changed since, and would be replaced. Next: move it away, or name another "
                    "folder.",
                )  # fmt: skip
        for file in [*files, *(() if ours else cards)]:
            if file not in ours and (self.folder / file).exists():
                raise invalid(
                    "out", str(self.folder), "a folder without files of these names that are not ours",
                    f"It has {file!r}, which would be replaced. Next: move it away, or name another folder.",
                )  # fmt: skip

    def _markers(self) -> list[Marker]:
        """Markers of all finished stages; files of a waiting one may have been moved before a kill."""
        found = [
            self._read(home, path.stem)
            for home in (self.folder, self._waiting)
            for path in (home / _FOLDER).glob("*.json")
        ]
        return [marker for marker in found if marker is not None]

    def strangers(self) -> list[str]:
        """Visible files and folders that no stage has written, in this start or before."""
        ours = {file.partition("/")[0] for marker in self._markers() for file in marker.files}
        return sorted(
            path.name for path in self.folder.iterdir() if path.name not in ours and path.name[0] != "."
        )

    def files(self, name: str) -> list[str]:
        """Names of the files of a finished stage."""
        return list(self._used[name].files)

    @property
    def hashes(self) -> dict[str, str]:
        """Name of each file of a finished stage -> SHA-256."""
        return {file: sha256 for marker in self._used.values() for file, sha256 in marker.files.items()}

    def path(self, file: str) -> Path:
        """Current path of a file of a finished stage."""
        names = (name for name, marker in self._used.items() if file in marker.files)
        is_waiting = not self._is_writer or any(_marker(self._waiting, name).is_file() for name in names)
        waiting = inner_path(self._waiting, file)
        return waiting if is_waiting and waiting.is_file() else inner_path(self.folder, file)

    @property
    def has_news(self) -> bool:
        """Whether `publish` would change the run folder."""
        kept = {_marker(self.folder, name) for name in self._used}
        stale = any(path not in kept for path in (self.folder / _FOLDER).glob("*.json"))
        return stale or any((self._waiting / _FOLDER).glob("*.json"))

    def publish(self) -> list[str]:
        """Move waiting files into the run folder and delete those of dropped stages.

        Files are moved one by one and markers after them: if this is interrupted, the next start finds each
        file in one place or the other.

        Returns:
            Titles of the stages whose results were deleted, or names where another stage has that title.
        """
        names = [path.stem for path in sorted((self.folder / _FOLDER).glob("*.json"))]
        stale = {name: self._read(self.folder, name) for name in names if name not in self._used}
        for name, marker in self._used.items():
            if _marker(self._waiting, name).is_file():
                self._publish(name, marker)
        for name in stale:
            self._forget(self.folder, name)
        delete_folder(self._waiting)
        self._sweep()
        titles = {name: name if marker is None else marker.title for name, marker in stale.items()}
        return list(dict.fromkeys(name if titles[name] in self.wall_s else titles[name] for name in stale))

    def publish_early(self, name: str, *, cards: Iterable[str]) -> None:
        """Move the files of one finished stage into the folder, where a later stage that fails leaves them.

        The cards of earlier results are deleted where the stage is new.
        """
        if _marker(self._waiting, name).is_file():
            for card in cards:
                (self.folder / card).unlink(missing_ok=True)
            self._publish(name, self._used[name])

    def _publish(self, name: str, marker: Marker) -> None:
        self._used[name] = marker
        for file in marker.files:
            waiting, final = inner_path(self._waiting, file), inner_path(self.folder, file)
            if waiting.is_file():
                final.parent.mkdir(parents=True, exist_ok=True)
                waiting.replace(final)
        before = self._read(self.folder, name)
        _marker(self._waiting, name).replace(_marker(self.folder, name))
        self._unlink(self.folder, before)

    def _finished(self, name: str, key: str) -> Marker | None:
        """The marker of a finished stage whose files are intact, published or waiting."""
        marker = self._read(self.folder, name)
        if marker and marker.key == key and self._is_intact(marker.files, self.folder):
            self._forget(self._waiting, name)  # of a start with other settings
            return marker
        marker = self._read(self._waiting, name)
        if marker and marker.key == key and self._is_intact(marker.files, self._waiting, self.folder):
            if not all((self._waiting / file).is_file() for file in marker.files):
                self._publish(name, marker)  # publishing was interrupted between two files
            return marker
        return None

    def _read(self, home: Path, name: str) -> Marker | None:
        """Read a marker; `None` where it is missing, damaged, of another version, or lists other folders."""
        try:
            marker = read_document(_marker(home, name), Marker, next_step="start again")
            for file in marker.files:
                inner_path(home, file)
        except OSError:
            return None
        return marker

    def _is_intact(self, files: dict[str, str], *homes: Path) -> bool:
        """Whether every file is unchanged in the first of these folders that has it."""
        for file, expected in files.items():
            path = next((path for home in homes if (path := inner_path(home, file)).is_file()), None)
            if path is None or hash_file(path) != expected:
                return False
        return True

    def _forget(self, home: Path, name: str) -> None:
        marker = self._read(home, name)
        _marker(home, name).unlink(missing_ok=True)  # first: without it the files do not count
        self._unlink(home, marker)

    def _unlink(self, home: Path, marker: Marker | None) -> None:
        """Delete the files of an old marker, except edited ones and those of a stage of this run.

        A folder in which they leave nothing goes with them.
        """
        kept = {file for used in self._used.values() for file in used.files}
        for file, key in ({} if marker is None else marker.files).items():
            if file not in kept and self._is_intact({file: key}, home):
                (home / file).unlink(missing_ok=True)
                _delete_empty_parents(home, home / file)

    def _sweep(self) -> None:
        """Delete leftovers of killed processes: files with names like ours that no marker has."""
        kept = {self.folder / file for used in self._used.values() for file in used.files}
        for pattern in _OURS:
            for path in self.folder.glob(pattern):
                if path not in kept and not is_link_outside(self.folder, path.parent):
                    path.unlink(missing_ok=True)


def _check_nothing_is_lost(folder: Path) -> None:
    """Refuse a folder of other use that has files which `_sweep` would delete."""
    if (folder / _FOLDER).is_dir():
        return
    files = sorted(path.relative_to(folder) for pattern in _OURS for path in folder.glob(pattern))
    if files:
        raise invalid(
            "out", str(folder), "a folder for runs only",
            f"It has files that a run would delete, such as {str(files[0])!r}. Next: name another folder.",
        )  # fmt: skip


def publish(stages: Stages, *, cards: Iterable[str], say: Callable[[str], None] = lambda line: None) -> None:
    """Replace earlier results in the folder by those of the stages, and report changes.

    Old card and page are deleted first: an interrupted start leaves results without a card, which the next
    start completes, and never a card beside results of another start.

    Args:
        stages: all finished.
        cards: files that describe the results, written after this.
        say: receives lines about changes in the folder.
    """
    if stages.has_news:
        for name in cards:
            (stages.folder / name).unlink(missing_ok=True)
    if stages.redone:
        say("Done again, because settings, data or files changed: " + ", ".join(stages.redone) + ".")
    if dropped := stages.publish():
        say("Deleted, because no longer part of the results: " + ", ".join(dropped) + ".")


def _delete_empty_parents(home: Path, file: Path) -> None:
    with suppress(OSError):  # one that is not empty
        for folder in file.parents:
            if folder == home:
                return
            folder.rmdir()


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)


def _marker(home: Path, name: str) -> Path:
    return home / _FOLDER / f"{name}.json"
