"""`food101n:FOLDER/SPLIT`: Food-101N as its authors publish it.

```
FOLDER/meta/classes.txt          a class per line, after the line `class_name`
FOLDER/meta/imagelist.tsv        an image per line, CLASS/HASH.jpg, after the line `class_name/key`
FOLDER/meta/verified_train.tsv   CLASS/HASH.jpg, a tab, 1 if that class is right and 0 if it is wrong; after
FOLDER/meta/verified_val.tsv     the line `class_name/key	verification_label`
FOLDER/images/CLASS/HASH.jpg
```

The layout is that of the archive at https://kuanghuei.github.io/Food-101N/, as public code reads it. Its test
set is that of Food-101 (`torchvision:Food101/test`).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from noiseproof.core.errors import BadData
from noiseproof.core.records import LabelledDataset
from noiseproof.core.registry import unknown_name
from noiseproof.data.formats.image_lists import list_lines, listed_images
from noiseproof.data.request import Request, folder_and_split

_ORIGIN = "the archive Food-101N_release (kuanghuei.github.io/Food-101N)"
_VERIFIED = {"verified_train": "verified_train.tsv", "verified_val": "verified_val.tsv"}
_CLEAN = {"clean_train": "verified_train", "clean_val": "verified_val"}
_SPLITS = ("train", *_VERIFIED, *_CLEAN)


class _Line(NamedTuple):
    """An image: its key, its class id, and whether that is right, where it was verified."""

    key: str
    label: int
    is_right: bool | None


def open_food101n(address: str, request: Request) -> LabelledDataset:
    """The images of one split; ids are the keys, `CLASS/HASH.jpg`.

    `train` is the whole list, with the images of the others. `verified_train` and `verified_val` are the
    images whose label a person has verified, with the label as given; `verified_right` has the result.
    `clean_train` and `clean_val` are the verified images whose label is right, so they also have true labels.

    Raises:
        UnknownName: no such split.
        MissingFile: a list is absent, or an image that it names.
        BadData: a line that is none, with its file and number.

    Source: Lee et al. 2018, arXiv:1711.07131 (CleanNet).
    """
    request.refuse_columns()
    root, split = folder_and_split(address, _SPLITS, title="Food-101N", prefix="food101n")
    classes = _classes(root, request.name)
    lines = _read(root, _CLEAN.get(split, split), classes, request.name)
    if split in _CLEAN:
        lines = [line for line in lines if line.is_right]
    labels = np.array([line.label for line in lines], np.int64)
    return listed_images(
        [line.key for line in lines], labels, classes, request, root / "images",
        clean_labels=labels if split in _CLEAN else None,
    )  # fmt: skip


def verified_right(folder: str | Path, split: str) -> Bool[np.ndarray, " n"]:
    """Whether the label of each image of `food101n:FOLDER/SPLIT` is right, in its order.

    What a detector of wrong labels is measured against: the true class of a wrong label is not known.

    Args:
        folder: with `meta` in it.
        split: "verified_train" or "verified_val".

    Raises:
        UnknownName: no such split, or one that nobody has judged.
        MissingFile, BadData: as for `open_food101n`.
    """
    if split not in _VERIFIED:
        raise unknown_name("verified split of Food-101N", split, _VERIFIED)
    root, owner = Path(folder), f"food101n:{folder}/{split}"
    return np.array([line.is_right for line in _read(root, split, _classes(root, owner), owner)], bool)


def _read(root: Path, split: str, classes: list[str], owner: str) -> list[_Line]:
    path = root / "meta" / _VERIFIED.get(split, "imagelist.tsv")
    class_ids = {name: number for number, name in enumerate(classes)}
    return [
        _parsed(line, number, path, class_ids, is_verified=split in _VERIFIED)
        for number, line in _rows(path, owner)
    ]


def _parsed(line: str, number: int, path: Path, class_ids: dict[str, int], *, is_verified: bool) -> _Line:
    key, *judgement = line.split("\t")
    name, _, file = key.partition("/")
    is_one = judgement in (["0"], ["1"]) if is_verified else not judgement
    if name not in class_ids or not file or not is_one:
        shape = "CLASS/HASH.jpg, a tab and 0 or 1" if is_verified else "CLASS/HASH.jpg"
        raise BadData(
            f"Line {number} of {str(path)!r} is {line!r}; allowed: {shape}, with a class of classes.txt. "
            "Next: mend the line, or fetch the file again."
        )
    return _Line(key, class_ids[name], judgement == ["1"] if is_verified else None)


def _classes(root: Path, owner: str) -> list[str]:
    return [name for _, name in _rows(root / "meta" / "classes.txt", owner)]


def _rows(path: Path, owner: str) -> list[tuple[int, str]]:
    """Drop the header, which no class name begins with."""
    lines = list_lines(path, owner, origin=_ORIGIN)
    return lines[1:] if lines[0][1].startswith("class_name") else lines
