"""A cleaned copy of a folder of class folders: the same images in the folders of their right classes.

`labels.csv` beside it has a row for each image: its id in the copy, its label, the one before any cleaning,
and the last decision of people on it. `.decisions.json` inside has those of the images whose labels were
decided or changed, so that they go along when the folder is copied or renamed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from noiseproof.core.errors import BadData
from noiseproof.core.progress import progress
from noiseproof.core.storage.checksums import write_record
from noiseproof.core.storage.documents import Document
from noiseproof.core.storage.files import hash_file, write_bytes
from noiseproof.core.storage.marks import is_ours
from noiseproof.data.examples import files_of
from noiseproof.decisions.decision_files import spreadsheet
from noiseproof.export.decision_columns import DECISION, DECISION_COLUMNS, ORIGINAL
from noiseproof.export.edits import Cleaning, compute_edits
from noiseproof.export.source import Source

LABELS, INSIDE = "labels.csv", ".decisions.json"
_COLUMNS = ["example_id", "label", ORIGINAL, *DECISION_COLUMNS]
_MAX_NAME_BYTES = 255


class FolderDecisions(Document):
    """What people decided about images in class folders, as in `.decisions.json`.

    Attributes:
        rows: example id -> its row of `labels.csv`; images without a row are as they always were.
        hashes: example id -> SHA-256 of an image that people decided on.
    """

    rows: dict[str, dict[str, str]]
    hashes: dict[str, str]


def write_cleaned_folder(
    cleaning: Cleaning, path: Path, source: Source, before: Mapping[str, Mapping[str, str]]
) -> list[Path]:
    """Write class folders of links to the images, or of copies where the disk has no links.

    The links are hard links: they take no space, and stay when the originals are moved or deleted. An image
    that changes its class keeps its name, unless that class has one of this name.

    Args:
        cleaning: the labels that were judged, and what to do with them.
        path: the new folder.
        source: a folder of class folders.
        before: example id -> row of its `labels.csv`, where it was cleaned already.

    Returns:
        The files.

    Raises:
        BadData: a new class has a name that no class folder can have.
    """
    whole = source.whole
    files = files_of(whole.examples)
    assert files is not None  # of a folder
    changes = compute_edits(
        cleaning, ids=whole.ids, labels=whole.given_labels, class_names=whole.class_names,
        owner=source.request.name,
    )  # fmt: skip
    for name in changes.class_names[len(whole.class_names) :]:
        _check_folder_name(name, path)
    on_disk = whole.given_names
    taken = {str(example_id) for example_id in whole.ids}
    written, listed = [], []
    shown = {name: changes.column(field) for name, field in DECISION_COLUMNS.items()}
    rows = np.flatnonzero(~changes.is_dropped).tolist()
    with progress("Cleaned folder", total=len(rows), unit="image") as bar:
        for row in rows:
            place = str(whole.ids[row])
            name = changes.class_names[changes.final[row]]
            if name != on_disk[row]:
                place = _free_place(place, name, taken)
            _link_or_copy(files[row], path / place)
            written.append(path / place)
            earlier = before.get(str(whole.ids[row]), {})
            first = earlier.get(ORIGINAL, whole.class_names[changes.judged[row]])
            decided = [column[row] for column in shown.values()]
            if not changes.is_judged[row]:
                decided = [earlier.get(name, "") for name in DECISION_COLUMNS]
            listed.append([place, name, first, *decided])
            bar.update()
    write_bytes(path.parent / LABELS, spreadsheet(_COLUMNS, listed))
    _write_inside(path, [dict(zip(_COLUMNS, row, strict=True)) for row in listed])
    return [*written, path.parent / LABELS, path / INSIDE]


def _write_inside(folder: Path, rows: Sequence[dict[str, str]]) -> None:
    kept = {row["example_id"]: row for row in rows if row[DECISION] or row["label"] != row[ORIGINAL]}
    hashes = {each: hash_file(folder / each) for each, row in kept.items() if row[DECISION]}
    write_record(folder / INSIDE, FolderDecisions(rows=kept, hashes=hashes).to_json())


def _free_place(place: str, name: str, taken: set[str]) -> str:
    """Path of an image in the folder of another class, which no other image has."""
    old, _, inner = place.partition("/")
    new = PurePosixPath(name, inner)
    number = 1
    while str(new) in taken:
        mark = f"-from-{old}" if number == 1 else f"-from-{old}-{number}"
        new = PurePosixPath(name, inner).with_stem(PurePosixPath(inner).stem + mark)
        number += 1
    taken.add(str(new))
    return str(new)


def _link_or_copy(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    original = file.resolve()  # a link to a symbolic link would lead elsewhere
    try:
        os.link(original, target)
    except (OSError, NotImplementedError):  # another disk, or one without links
        shutil.copyfile(original, target)


def _check_folder_name(name: str, path: Path) -> None:
    is_bad = name in ("", ".", "..") or name[0] in ". " or any(sign in name for sign in '/\\\0\n\r:*?"<>|')
    if is_bad or len(name.encode()) > _MAX_NAME_BYTES or is_ours(path / name):
        raise BadData(
            f"The new class {name!r} cannot be a folder; allowed: a name without slashes and other signs of "
            "paths, that does not begin with a dot. Next: take another name for it."
        )
