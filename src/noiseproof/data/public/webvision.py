"""`webvision:FOLDER/SPLIT`: WebVision 1.0 as its authors publish it, the part found with Google.

```
FOLDER/info/train_filelist_google.txt    a line per image: its path in FOLDER, a space, a class id from 0
FOLDER/info/val_filelist.txt             the same; paths are relative to val_images_256
FOLDER/info/synsets.txt                  a line per class: its WordNet id, a space, its names
FOLDER/google/q0001/...                  images to train on, by query
FOLDER/val_images_256/...                images to test on
```

The layout is that of info.tar, google_resized_256.tar and val_images_256.tar, which are described in
https://data.vision.ee.ethz.ch/cvl/webvision/README.txt and read in this way by public code.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from noiseproof.core.errors import BadData
from noiseproof.core.records import LabelledDataset
from noiseproof.data.formats.image_lists import list_lines, listed_images, read_list
from noiseproof.data.request import Request, folder_and_split

MINI_CLASSES = 50
_ORIGIN = "info.tar of WebVision 1.0 (data.vision.ee.ethz.ch/cvl/webvision/dataset2017.html)"
# Split -> its list, and what its paths are relative to.
_LISTS = {"train": ("train_filelist_google.txt", ""), "val": ("val_filelist.txt", "val_images_256")}
_SPLITS = (*_LISTS, *(f"mini_{split}" for split in _LISTS))


def open_webvision(address: str, request: Request) -> LabelledDataset:
    """The images of one split; `mini_train` and `mini_val` have the first 50 classes only.

    Classes are called by their WordNet ids, as the class folders of ImageNet are. Ids are the paths in the
    list. Labels of `train` are the queries the images were found with, those of `val` are by people.

    Raises:
        UnknownName: no such split.
        MissingFile: a list is absent, or an image that it names.
        BadData: a line that is none, with its file and number.

    Source: Li et al. 2017, arXiv:1708.02862. The 50 classes: Jiang et al. 2018, arXiv:1712.05055
    (mini-WebVision).
    """
    request.refuse_columns()
    root, split = folder_and_split(address, _SPLITS, title="WebVision", prefix="webvision")
    list_file, images = _LISTS[split.removeprefix("mini_")]
    wnids = _wnids(root / "info" / "synsets.txt", request.name)
    path = root / "info" / list_file
    paths, labels = read_list(path, request.name, origin=_ORIGIN, num_classes=len(wnids))
    num_classes = MINI_CLASSES if split.startswith("mini_") else len(wnids)
    kept = [row for row, label in enumerate(labels) if label < num_classes]
    if not kept:
        raise BadData(
            f"{str(path)!r} has no image of the first {num_classes} classes; allowed: class ids below "
            f"{num_classes}. Next: fetch it again."
        )
    return listed_images(
        [paths[row] for row in kept], np.array(labels)[kept], wnids[:num_classes], request, root / images
    )


def _wnids(path: Path, owner: str) -> list[str]:
    """The first word of each line: names come twice (two kinds of crane), WordNet ids do not."""
    return [line.split()[0] for _, line in list_lines(path, owner, origin=_ORIGIN)]
