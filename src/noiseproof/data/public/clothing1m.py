"""`clothing1m:FOLDER/SPLIT`: the layout in which Clothing1M is given to those who ask its authors.

```
FOLDER/noisy_train_key_list.txt  clean_train_key_list.txt  clean_val_key_list.txt  clean_test_key_list.txt
FOLDER/noisy_label_kv.txt  clean_label_kv.txt      a line per image: its key, a space, a class id
FOLDER/images/...                                  a key is a path in FOLDER, e.g. images/0/0/12,34.jpg
FOLDER/category_names_eng.txt                      a name per line; where it is absent the published names
```
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from noiseproof.core.errors import BadData
from noiseproof.core.records import LabelledDataset
from noiseproof.data.formats.image_lists import is_class_id, list_lines, listed_images
from noiseproof.data.request import Request, folder_and_split

CLASSES = (
    "T-Shirt", "Shirt", "Knitwear", "Chiffon", "Sweater", "Hoodie", "Windbreaker", "Jacket", "Down Coat",
    "Suit", "Shawl", "Dress", "Vest", "Underwear",
)  # fmt: skip
_ORIGIN = "the copy of Clothing1M that its authors give out"
# Split -> list of keys, and which labels its examples have.
_SPLITS = {
    "train": ("noisy_train_key_list.txt", "noisy_label_kv.txt"),
    "clean_train": ("clean_train_key_list.txt", "clean_label_kv.txt"),
    "val": ("clean_val_key_list.txt", "clean_label_kv.txt"),
    "test": ("clean_test_key_list.txt", "clean_label_kv.txt"),
}


def open_clothing1m(address: str, request: Request) -> LabelledDataset:
    """The images of one split; `train` has the noisy labels, `clean_train`, `val` and `test` the clean ones.

    Ids are the keys. All splits have the same classes, whichever occur.

    Raises:
        UnknownName: no such split.
        MissingFile: a list is absent, or an image that it names.
        BadData: a key without a label, or a line that is none; it is named.

    Source: Xiao et al. 2015, "Learning from Massive Noisy Labeled Data for Image Classification", CVPR.
    """
    request.refuse_columns()
    root, split = folder_and_split(address, _SPLITS, title="Clothing1M", prefix="clothing1m")
    keys_file, labels_file = _SPLITS[split]
    keys = [key for _, key in list_lines(root / keys_file, request.name, origin=_ORIGIN)]
    names = _class_names(root, request.name)
    labels = _labels(root / labels_file, keys, len(names), request.name)
    return listed_images(keys, labels, names, request, root)


def _labels(path: Path, keys: list[str], num_classes: int, owner: str) -> np.ndarray:
    """Class id of each key; the file has those of other splits, too."""
    wanted = {key: row for row, key in enumerate(keys)}
    labels = np.full(len(keys), num_classes, np.int64)
    for number, line in list_lines(path, owner, origin=_ORIGIN):
        key, _, label = line.rpartition(" ")
        row = wanted.get(key)
        if row is None:
            continue
        if not is_class_id(label, below=num_classes):
            raise BadData(
                f"Line {number} of {str(path)!r} is {line!r}; allowed: a key, a space and a class id from 0 "
                f"to {num_classes - 1}. Next: fetch the file again."
            )
        labels[row] = int(label)
    absent = np.flatnonzero(labels == num_classes)
    if len(absent):
        raise BadData(
            f"{str(path)!r} has no label of {keys[absent[0]]!r} ({len(absent)} such keys of {owner!r}); "
            "allowed: one for each key. Next: fetch the file again."
        )
    return labels


def _class_names(root: Path, owner: str) -> tuple[str, ...]:
    path = root / "category_names_eng.txt"
    if not path.is_file():
        return CLASSES
    return tuple(name for _, name in list_lines(path, owner, origin=_ORIGIN))
