"""Public data sets that other packages carry or fetch: `torchvision:NAME/split`, `sklearn:digits`."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import numpy as np

from noiseproof.core.errors import BadData, MissingFile, invalid
from noiseproof.core.records import LabelledDataset
from noiseproof.core.registry import unknown_name
from noiseproof.core.system_errors import expanded
from noiseproof.data.examples import AbstractReader, PixelReader
from noiseproof.data.formats.labelled_tables import row_ids
from noiseproof.data.lazy_dataset import lazy_dataset
from noiseproof.data.request import Request

ROOT_VARIABLE = "NOISEPROOF_DATA"
SKLEARN_NAMES = ("digits",)


def open_sklearn(address: str, request: Request) -> LabelledDataset:
    """The 1,797 handwritten digits of scikit-learn: 8 x 8 grey pixels, 0-16 scaled to 0-255."""
    from sklearn.datasets import load_digits

    request.refuse_columns()
    if address not in SKLEARN_NAMES:
        raise unknown_name("scikit-learn data set", address, SKLEARN_NAMES)
    bunch = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    reader, ids = PixelReader(pixels), row_ids("digits", len(pixels))
    return lazy_dataset(reader, request, ids=ids, labels=bunch.target, class_names=tuple("0123456789"))


def open_torchvision(address: str, request: Request) -> LabelledDataset:
    """A class of `torchvision.datasets` that yields (image, class id); `NAME/train+val` joins two splits.

    Files are searched in the folder that the environment variable NOISEPROOF_DATA names, else in
    ~/.cache/noiseproof/data, and downloaded where they are absent.

    Raises:
        UnknownName: torchvision has no such data set.
        MissingFile: neither files nor network.
    """
    request.refuse_columns()
    name, _, split = address.rpartition("/")
    if not name:
        raise invalid("data set", request.name, "torchvision:NAME/split, e.g. torchvision:CIFAR10/train")
    sources = [_construct(name, part, request.name) for part in split.split("+")]
    labels, class_names = _torchvision_labels(sources, request.name)
    ids = [row_ids(f"{name}-{part}", len(s)) for part, s in zip(split.split("+"), sources, strict=True)]
    return lazy_dataset(
        TorchvisionReader(sources), request, ids=np.concatenate(ids), labels=labels, class_names=class_names
    )


@final
class TorchvisionReader(AbstractReader):
    """The images of torchvision data sets, one after the other."""

    def __init__(self, sources: Sequence[Any]) -> None:
        self._sources = sources
        self._starts = np.concatenate([[0], np.cumsum([len(source) for source in sources])])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def read(self, row: int) -> Any:
        """An image of any mode.

        Raises:
            BadData: the file behind it is damaged.
        """
        part = int(np.searchsorted(self._starts, row, side="right")) - 1
        try:
            return self._sources[part][row - int(self._starts[part])][0]
        except (OSError, SyntaxError, ValueError) as error:
            raise BadData(str(error)) from error


def data_root() -> Path:
    """The folder of public data sets."""
    return Path(os.environ.get(ROOT_VARIABLE) or expanded(Path("~/.cache/noiseproof/data")))


def _construct(name: str, split: str, owner: str) -> Any:
    builder = _torchvision_class(name)
    options: dict[str, Any] = _split_option(builder, split, owner)
    root = data_root()
    try:
        return builder(str(root), **options)  # already there
    except (RuntimeError, FileNotFoundError) as absent:
        if "download" not in inspect.signature(builder).parameters:
            raise MissingFile(
                f"torchvision:{name} is not under {str(root)!r} and torchvision cannot download it "
                f"({absent}). Next: put its files there, or name another folder with {ROOT_VARIABLE}."
            ) from absent
    try:
        root.mkdir(parents=True, exist_ok=True)
        return builder(str(root), download=True, **options)
    except (OSError, RuntimeError, ValueError) as error:  # no network, or torchvision lost the address
        raise MissingFile(
            f"torchvision:{name} is not under {str(root)!r} and could not be downloaded ({error}). Allowed: "
            f"its files in that folder, or a network. Next: copy them there, or set {ROOT_VARIABLE} to their "
            "folder."
        ) from error


def _torchvision_class(name: str) -> Any:
    from noiseproof.core.torchvision_ops import import_beside_torchvision

    torchvision = import_beside_torchvision("torchvision", extra="vision", purpose=f"torchvision:{name}")
    datasets = torchvision.datasets
    if name not in datasets.__all__:
        raise unknown_name("torchvision data set", name, datasets.__all__)
    return getattr(datasets, name)


def _split_option(builder: Any, split: str, owner: str) -> dict[str, Any]:
    parameters = inspect.signature(builder).parameters
    if "split" in parameters:
        return {"split": split}
    if "train" not in parameters:
        raise invalid(
            "data set", owner, "a torchvision class with train= or split=", "Open its files as a folder."
        )
    if split not in ("train", "test"):
        raise invalid("split", split, "train, test", f"It is the last part of {owner!r}.")
    return {"train": split == "train"}


def _torchvision_labels(sources: Sequence[Any], owner: str) -> tuple[np.ndarray, tuple[str, ...]]:
    parts = [np.asarray(_targets(source)) for source in sources]
    if any(labels.ndim != 1 or labels.dtype.kind not in "iu" for labels in parts):
        raise BadData(f"{owner!r} has no class id per image; allowed: single-label classification sets.")
    labels = np.concatenate(parts)
    lists = [getattr(source, "classes", None) or range(int(labels.max()) + 1) for source in sources]
    if any(list(each) != list(lists[0]) for each in lists):
        raise BadData(f"The splits of {owner!r} have different classes. Next: open them one by one.")
    return labels, tuple(map(str, lists[0]))


def _targets(source: Any) -> Any:
    """Class ids without opening images, where the data set keeps them under one of the usual names."""
    for name in ("targets", "labels", "_labels"):
        values = getattr(source, name, None)
        if values is not None:
            return values
    for name in ("samples", "_samples"):
        pairs = getattr(source, name, None)
        if pairs is not None:
            return [pair[1] for pair in pairs]
    return [source[row][1] for row in range(len(source))]
