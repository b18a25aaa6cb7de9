"""A folder of class folders."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np

from noiseproof.core.class_names import in_order
from noiseproof.core.errors import BadData
from noiseproof.core.records import LabelledDataset
from noiseproof.data.formats.folder_walk import IMAGE_SUFFIXES, FolderWalk
from noiseproof.data.formats.image_lists import listed_images
from noiseproof.data.request import Request

_SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"}


def open_folder(address: str, request: Request, *, only: Collection[str] | None = None) -> LabelledDataset:
    """Images under one folder per class; folders inside a class folder are searched too.

    Classes are the folder names, sorted as numbers where all are whole numbers, else as text; examples are
    sorted by path; ids are paths relative to the folder. Names that begin with a dot and folders of operating
    systems are ignored; other files that are no images are counted in the notes. A symbolic link is followed
    unless it leads to a folder that is read already.

    Args:
        only: classes to open; all of them if not given.

    Raises:
        BadData: no class folders, a class folder without images (unless `request.may_lack_classes`), two
            names for one class folder, or a folder that cannot be read.
    """
    request.refuse_columns(because="is a folder of class folders")
    root = Path(address)
    walk = FolderWalk(root)
    classes = in_order(name for name in walk.class_folders if only is None or name in only)
    _check_classes(classes, root, request.name)
    images = walk.images_of(classes)
    empty = [name for name in classes if not images[name]]
    if empty and (len(empty) == len(classes) or not request.may_lack_classes):
        raise BadData(
            f"The class folder {str(root / empty[0])!r} holds no images; allowed: files that end in "
            f"{' '.join(IMAGE_SUFFIXES)}. {walk.describe_others(empty[0])}"
            "Next: add images or remove the folder."
        )
    paths = [path for name in classes for path in images[name]]
    labels = np.repeat(np.arange(len(classes)), [len(images[name]) for name in classes])
    dataset = listed_images(paths, labels, classes, request, root)
    return replace(dataset, notes=(*dataset.notes, *walk.notes(request.name, empty)))


def _check_classes(classes: list[str], root: Path, owner: str) -> None:
    if not classes:
        raise BadData(
            f"{owner!r} has no class folders. Allowed: <folder>/<class>/<image file>. "
            "Next: move the images of each class into a folder named after it."
        )
    if {name.lower() for name in classes} <= _SPLITS:
        raise BadData(
            f"The folders in {owner!r} are called {', '.join(classes)}: splits, not classes. Allowed: "
            f"<folder>/<class>/<image file>. Next: name each by itself, such as {str(root / classes[-1])!r}."
        )
