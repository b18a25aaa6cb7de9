"""`cifarn:FILE/COLUMN`: CIFAR-10 and CIFAR-100 with the labels that people gave (CIFAR-10N, CIFAR-100N).

FILE is the authors' `CIFAR-10_human.pt` or `CIFAR-100_human.pt` (https://github.com/UCSC-REAL/cifar-10-100n,
folder `data`; its README names the columns), or the same columns as .npz or .csv under the same stem:

```
CIFAR-10_human    clean_label, worse_label, aggre_label, random_label1, random_label2, random_label3
CIFAR-100_human   clean_label, noisy_label
```

Images and true labels are those of `torchvision:CIFAR10/train` and `torchvision:CIFAR100/train`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from noiseproof.core.checks import check_label_range
from noiseproof.core.errors import BadData, MissingFile, invalid
from noiseproof.core.records import LabelledDataset
from noiseproof.core.registry import unknown_name
from noiseproof.core.storage.array_files import open_archive
from noiseproof.core.storage.torch_files import read_torch_file
from noiseproof.data.formats.delimited import read_delimited
from noiseproof.data.request import Request
from noiseproof.data.sources import open_request

IMAGES = {"CIFAR-10_human": "torchvision:CIFAR10/train", "CIFAR-100_human": "torchvision:CIFAR100/train"}
_CLEAN = "clean_label"
_ORIGIN = "github.com/UCSC-REAL/cifar-10-100n"
_SUFFIXES = (".pt", ".npz", ".csv")


def open_cifarn(address: str, request: Request) -> LabelledDataset:
    """The images to train on, with a column of labels as given and the true ones as clean.

    Ids and fingerprint are those of the CIFAR set, so its stored features serve for all columns.

    Raises:
        UnknownName: no such column.
        MissingFile: there is no such file, or no CIFAR.
        InvalidArgument: the file is none of those above.
        BadData: it could run code when read, a column does not fit, or its order is another than the images'.

    Source: Wei et al. 2022, arXiv:2110.12088.
    """
    request.refuse_columns(because="names its column of labels")
    file, _, column = address.rpartition("/")
    path = Path(file)
    if path.stem not in IMAGES or path.suffix not in _SUFFIXES:
        raise invalid(
            "data set",
            request.name,
            f"cifarn:FILE/COLUMN with {' or '.join(IMAGES)} and an ending of {', '.join(_SUFFIXES)}",
            "The .npy files of the authors are pickles, which can run code when read; take the .pt.",
        )
    if not path.is_file():
        raise MissingFile(f"There is no file {file!r}; it comes from {_ORIGIN}, folder data. Next: fetch it.")
    columns = _columns(path, (column, _CLEAN))
    for name in (column, _CLEAN):
        if name not in columns:
            raise unknown_name(f"column of labels in {path.name}:", name, columns)
    images = open_request(replace(request, name=IMAGES[path.stem]))
    given, clean = (_labels(columns, name, images, file) for name in (column, _CLEAN))
    _check_order(clean, images, file)
    return replace(images, name=request.name, given_labels=given, clean_labels=clean)


def _columns(path: Path, wanted: Sequence[str]) -> Mapping[str, np.ndarray]:
    """The columns of a file by name, at least those that are wanted and exist."""
    if path.suffix == ".npz":
        with open_archive(path, str(path)) as archive:
            return {name: archive[name] for name in wanted if name in archive}
    if path.suffix == ".csv":
        table = read_delimited(path, str(path))
        return {name: table[name].to_numpy() for name in table.column_names}
    content = read_torch_file(
        path,
        "file of labels",
        has_arrays=True,
        next_step=f"Fetch it again from {_ORIGIN}, or save its columns with np.savez.",
    )
    if not isinstance(content, Mapping):
        raise BadData(
            f"{str(path)!r} holds a {type(content).__name__}; allowed: columns of labels by name. Next: "
            f"fetch it again from {_ORIGIN}."
        )
    return {str(name): np.asarray(values) for name, values in content.items()}


def _labels(columns: Mapping[str, np.ndarray], name: str, images: LabelledDataset, file: str) -> np.ndarray:
    """A column as class ids (n,); texts, as of a CSV file, are read as numbers."""
    values = columns[name].reshape(-1)
    try:
        if values.dtype.kind not in "iu":
            values = np.array([int(value) for value in values if isinstance(value, str)])
        if len(values) != len(images):
            raise ValueError(f"{len(values):,} integers for {len(images):,} images")
    except ValueError as error:
        raise BadData(
            f"Column {name!r} of {file!r} does not fit: {error}; allowed: a class id for each image of "
            f"{images.name!r}. Next: fetch the file again from {_ORIGIN}."
        ) from error
    labels = values.astype(np.int64)
    check_label_range(labels, len(images.class_names), f"{file} ({name})")
    return labels


def _check_order(clean: np.ndarray, images: LabelledDataset, file: str) -> None:
    """Raise unless labels and images are in one order; labels have no ids, so true labels are compared."""
    differing = np.flatnonzero(clean != images.given_labels)
    if len(differing):
        raise BadData(
            f"The order of {file!r} differs from that of {images.name!r}: its {_CLEAN} is another than the "
            f"data set's own label in {len(differing):,} of {len(clean):,} rows, the first is row "
            f"{differing[0]}. Allowed: the order of the images. Next: take the .pt of {_ORIGIN}; files made "
            "for other loaders have another order."
        )
