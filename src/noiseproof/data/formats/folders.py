"""A folder of class folders."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import numpy as np

from noiseproof.core.errors import BadData
from noiseproof.core.records import LabelledDataset
from noiseproof.data.formats.image_lists import listed_images
from noiseproof.data.request import Request

IMAGE_SUFFIXES = (
    ".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff",
    ".webp",
)  # fmt: skip

_SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"}


def open_folder(address: str, request: Request, *, only: Collection[str] | None = None) -> LabelledDataset:
    """Images under one folder per class; folders inside a class folder are searched too.

    Classes are the folder names, sorted; examples are sorted by path; ids are paths relative to the
    folder. Names that begin with a dot and files that are no images are passed over.

    Args:
        address: path of the folder.
        request: of the user.
        only: classes to open; all of them if not given.

    Raises:
        BadData: no class folders, or a class folder without images.
    """
    request.refuse_columns(because="is a folder of class folders")
    root = Path(address)
    found = (entry.name for entry in root.iterdir() if entry.is_dir() and not _is_hidden(entry.name))
    classes = sorted(name for name in found if only is None or name in only)
    if not classes:
        raise BadData(
            f"{request.name!r} has no class folders. Allowed: <folder>/<class>/<image file>. "
            "Next: move the images of each class into a folder named after it."
        )
    if {name.lower() for name in classes} <= _SPLITS:
        raise BadData(
            f"The folders in {request.name!r} are called {', '.join(classes)}: splits, not classes. Allowed: "
            f"<folder>/<class>/<image file>. Next: name each by itself, such as {str(root / classes[-1])!r}."
        )
    paths: list[str] = []
    labels: list[int] = []
    for number, name in enumerate(classes):
        images = _images(root, name)
        if not images:
            raise BadData(
                f"The class folder {str(root / name)!r} holds no images; allowed: files that end in "
                f"{' '.join(IMAGE_SUFFIXES)}. Next: add images or remove the folder."
            )
        paths += images
        labels += [number] * len(images)
    return listed_images(paths, np.array(labels), classes, request, root)


def _images(root: Path, name: str) -> list[str]:
    """Paths relative to `root`, with slashes on every system, sorted."""
    found = []
    for folder, inner, files in os.walk(root / name, followlinks=True):
        inner[:] = [one for one in inner if not _is_hidden(one)]
        for file in files:
            if Path(file).suffix.lower() in IMAGE_SUFFIXES and not _is_hidden(file):
                found.append((Path(folder) / file).relative_to(root).as_posix())
    return sorted(found)


def _is_hidden(name: str) -> bool:
    return name.startswith(".")
