"""A tiny example of every source: four images (or texts, or rows) of two classes, "cat" and "dog"."""

from __future__ import annotations

import csv
import io
import json
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))
LABELS = ("cat", "cat", "dog", "dog")
IMAGE_STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])

# (folder, labels, shade of the first image) -> name for `open_dataset`
Maker = Callable[..., str]


def png(colour: tuple[int, ...], mode: str = "RGB", size: tuple[int, int] = (6, 4)) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, colour if len(colour) > 1 else colour[0]).save(buffer, "PNG")
    return buffer.getvalue()


def pictures(first: int = 255) -> list[bytes]:
    """Four images; `first` is the red of the first one."""
    return [png((first, 0, 0)), *map(png, COLOURS[1:])]


def make_folder(root: Path, labels: tuple[str, ...] = LABELS, first: int = 255) -> str:
    for row, (label, content) in enumerate(zip(labels, pictures(first), strict=True)):
        path = root / "photos" / label / "inner" / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return str(root / "photos")


def make_tar(root: Path, labels: tuple[str, ...] = LABELS, first: int = 255) -> str:
    """Two WebDataset shards of two examples each."""
    (root / "shards").mkdir()
    for number, rows in enumerate((range(2), range(2, 4))):
        with tarfile.open(root / "shards" / f"{number:05}.tar", "w") as archive:
            for row in rows:
                for extension, content in (("png", pictures(first)[row]), ("txt", labels[row].encode())):
                    member = tarfile.TarInfo(f"{row:06}.{extension}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
    return str(root / "shards")


def _image_files(root: Path, first: int) -> list[str]:
    for row, content in enumerate(pictures(first)):
        (root / f"{row}.png").write_bytes(content)
    return [f"{row}.png" for row in range(4)]


def _make_delimited(root: Path, labels: tuple[str, ...], first: int, suffix: str, delimiter: str) -> str:
    path = root / f"table.{suffix}"
    with path.open("w", newline="") as file:
        rows = zip(_image_files(root, first), labels, strict=True)
        csv.writer(file, delimiter=delimiter).writerows([("image", "label"), *rows])
    return str(path)


def make_csv(root: Path, labels: tuple[str, ...] = LABELS, first: int = 255) -> str:
    return _make_delimited(root, labels, first, "csv", ",")


def make_tsv(root: Path, labels: tuple[str, ...] = LABELS, first: int = 255) -> str:
    return _make_delimited(root, labels, first, "tsv", "\t")


def make_jsonl(root: Path, labels: tuple[str, ...] = LABELS, first: int = 255) -> str:
    path = root / "table.jsonl"
    rows = zip(_image_files(root, first), labels, strict=True)
    path.write_text("".join(json.dumps({"file_name": f, "target": y}) + "\n" for f, y in rows))
    return str(path)


def make_parquet(root: Path, labels: tuple[str, ...] = LABELS, first: int = 255) -> str:
    path = root / "table.parquet"
    cells = [{"bytes": content, "path": None} for content in pictures(first)]
    numbers = [("cat", "dog").index(label) for label in labels]
    table = pa.table({"image": pa.array(cells, IMAGE_STRUCT), "label": numbers, "label_name": list(labels)})
    pq.write_table(table, path, row_group_size=3)
    return str(path)


def make_npz(root: Path, labels: tuple[str, ...] = LABELS, first: int = 255) -> str:
    features = np.arange(12, dtype=np.float32).reshape(4, 3)
    features[0, 0] = first
    np.savez(root / "features.npz", features=features, labels=np.array(labels))
    return str(root / "features.npz")


def make_npy(root: Path, labels: tuple[str, ...] = LABELS, first: int = 255) -> str:
    """A matrix, and its labels in a file beside it."""
    features = np.arange(12, dtype=np.float32).reshape(4, 3)
    features[0, 0] = first
    np.save(root / "train_X.npy", features)
    np.save(root / "train_y.npy", np.array(labels))
    return str(root / "train_X.npy")


def write_idx(path: Path, values: np.ndarray) -> None:
    """The file format of MNIST: a magic number with the rank, the shape, the bytes."""
    head = struct.pack(f">{1 + values.ndim}I", 0x0800 + values.ndim, *values.shape)
    path.write_bytes(head + values.astype(np.uint8).tobytes())


def make_torchvision(root: Path, labels: tuple[str, ...] = LABELS, first: int = 255) -> str:
    """A FashionMNIST of four images; the caller points NOISEPROOF_DATA at `root`."""
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = np.zeros((4, 28, 28), np.uint8)
    pixels[:, 3:9] = np.array([first, 80, 120, 160])[:, None, None]
    for part in ("train", "t10k"):  # torchvision wants both to be there
        write_idx(raw / f"{part}-images-idx3-ubyte", pixels)
        write_idx(raw / f"{part}-labels-idx1-ubyte", np.array([("cat", "dog").index(y) for y in labels]))
    return "torchvision:FashionMNIST/train"


def make_idx(root: Path, labels: tuple[str, ...] = LABELS, first: int = 255) -> str:
    """Class ids 0 and 1: the format has no names."""
    pixels = np.zeros((4, 6, 5), np.uint8)
    pixels[:, 1:3] = np.array([first, 80, 120, 160])[:, None, None]
    write_idx(root / "train-images-idx3-ubyte", pixels)
    write_idx(root / "train-labels-idx1-ubyte", np.array([("cat", "dog").index(y) for y in labels]))
    return f"idx:{root}/train"


def make_list(root: Path, labels: tuple[str, ...] = LABELS, first: int = 255) -> str:
    """The list of a folder of class folders; classes are called by those as long as each has its own."""
    paths = []
    for row, content in enumerate(pictures(first)):
        path = root / LABELS[row] / f"{row}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        paths.append(path.relative_to(root).as_posix())
    numbers = [("cat", "dog").index(label) for label in labels]
    lines = [f"{path} {number}\n" for path, number in zip(paths, numbers, strict=True)]
    (root / "list.txt").write_text("".join(lines))
    return str(root / "list.txt")


def make_suite(root: Path, labels: tuple[str, ...] = LABELS, first: int = 255) -> str:
    """The paths of the list are those of the clipart domain; the caller points NOISEPROOF_DATA at `root`."""
    folder = root / "domainnet"
    folder.mkdir()
    Path(make_list(folder, labels, first)).rename(folder / "clipart_test.txt")
    return "suite:domainnet_clipart/test:partial"


def make_shift(root: Path, labels: tuple[str, ...] = LABELS, first: int = 255) -> str:
    """A shift that draws nothing, so that it is the same for every seed."""
    return f"shift:contrast-1:{make_parquet(root, labels, first)}"


def make_clothing1m(root: Path, labels: tuple[str, ...] = LABELS, first: int = 255) -> str:
    """Lists of keys, labels of all splits in one file, names of the classes; a key has a comma in it."""
    base = root / "clothing1m"
    keys = [f"images/0/{row}/{row},7.jpg" for row in range(4)]
    for key, content in zip(keys, pictures(first), strict=True):
        (base / key).parent.mkdir(parents=True)
        (base / key).write_bytes(content)
    rows = [f"{key} {('cat', 'dog').index(label)}" for key, label in zip(keys, labels, strict=True)]
    files = {
        "noisy_train_key_list.txt": keys,
        "clean_test_key_list.txt": keys[1:3],
        "noisy_label_kv.txt": ["images/9/9/other.jpg 1", *reversed(rows)],
        "clean_label_kv.txt": [f"{keys[1]} 1", f"{keys[2]} 1"],
        "category_names_eng.txt": ["cat", "dog"],
    }
    for name, lines in files.items():
        (base / name).write_text("\n".join(lines) + "\n")
    return f"clothing1m:{base}/train"


def _write_lists(base: Path, files: dict[str, list[str]]) -> None:
    for name, lines in files.items():
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text("".join(f"{line}\n" for line in lines))


def _write_images(folder: Path, paths: list[str], first: int) -> None:
    for path, content in zip(paths, pictures(first), strict=True):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def make_webvision(root: Path, labels: tuple[str, ...] = LABELS, first: int = 255) -> str:
    """52 classes, two of them past the 50 of mini-WebVision; a path has a space in it."""
    base = root / "webvision"
    paths = [f"google/q000{1 + row // 2}/a {row}.jpg" for row in range(4)]
    _write_images(base, paths, first)
    _write_images(base / "val_images_256", [f"val{row:06}.jpg" for row in range(4)], first)
    numbers = [51 * ("cat", "dog").index(label) for label in labels]
    middle = [f"n{number:08} crane, crane" for number in range(1, 51)]
    _write_lists(
        base / "info",
        {
            "synsets.txt": ["cat tench, Tinca tinca", *middle, "dog goldfish"],
            "train_filelist_google.txt": [f"{p} {y}" for p, y in zip(paths, numbers, strict=True)],
            "val_filelist.txt": [
                "val000000.jpg 0",
                "val000001.jpg 49",
                "val000002.jpg 50",
                "val000003.jpg 51",
            ],
        },
    )
    return f"webvision:{base}/train"


def make_food101n(root: Path, labels: tuple[str, ...] = LABELS, first: int = 255) -> str:
    """A class is part of an image's name, so every image lies under both classes."""
    base = root / "food-101N"
    keys = [f"{label}/{row:032x}.jpg" for row, label in enumerate(labels)]
    for name in ("cat", "dog"):
        _write_images(base / "images", [f"{name}/{row:032x}.jpg" for row in range(4)], first)
    head = "class_name/key\tverification_label"
    _write_lists(
        base / "meta",
        {
            "classes.txt": ["class_name", "cat", "dog"],
            "imagelist.tsv": ["class_name/key", *keys],
            "verified_train.tsv": [head, f"{keys[1]}\t1", f"{keys[2]}\t0", f"{keys[3]}\t1"],
            "verified_val.tsv": [head, f"{keys[0]}\t0", f"{keys[3]}\t1"],
        },
    )
    return f"food101n:{base}/train"


CIFAR10_CLASSES = ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class TinyCifar:
    """Stands in for torchvision's class, whose files are pickles with checksums: four images of its own."""

    classes = CIFAR10_CLASSES
    targets = (3, 3, 5, 5)

    def __init__(self, root: str, train: bool = True) -> None:
        self._folder = Path(root) / "cifar"

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> tuple[Image.Image, int]:
        return Image.open(self._folder / f"{row}.png"), self.targets[row]


def use_tiny_cifar(monkeypatch: pytest.MonkeyPatch) -> None:
    """`TinyCifar` for torchvision's CIFAR10 and CIFAR100."""
    from noiseproof.core.torchvision_ops import declare_missing_operators

    declare_missing_operators()
    from torchvision import datasets

    for name in ("CIFAR10", "CIFAR100"):
        monkeypatch.setattr(datasets, name, TinyCifar)


def make_cifarn(root: Path, labels: tuple[str, ...] = LABELS, first: int = 255) -> str:
    """The caller points NOISEPROOF_DATA at `root` and calls `use_tiny_cifar`."""
    _write_images(root / "cifar", [f"{row}.png" for row in range(4)], first)
    columns = {"clean_label": np.array(TinyCifar.targets)}
    columns["worse_label"] = np.array([CIFAR10_CLASSES.index(label) for label in labels])
    torch.save(columns, root / "CIFAR-10_human.pt")
    return f"cifarn:{root}/CIFAR-10_human.pt/worse_label"


def make_hf(root: Path, labels: tuple[str, ...] = LABELS, first: int = 255) -> str:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    )
    columns = {"image": [{"bytes": b, "path": None} for b in pictures(first)], "label": list(labels)}
    saved = datasets.DatasetDict({"train": datasets.Dataset.from_dict(columns, features=features)})
    saved.save_to_disk(str(root / "saved"))
    return f"hf:{root / 'saved'}/train"


MAKERS: dict[str, Maker] = {
    "folder": make_folder,
    "tar": make_tar,
    "csv": make_csv,
    "tsv": make_tsv,
    "jsonl": make_jsonl,
    "parquet": make_parquet,
    "npy": make_npy,
    "npz": make_npz,
    "torchvision": make_torchvision,
    "hf": make_hf,
    "idx": make_idx,
    "clothing1m": make_clothing1m,
    "webvision": make_webvision,
    "food101n": make_food101n,
    "cifarn": make_cifarn,
    "txt": make_list,
    "suite": make_suite,
    "shift": make_shift,
}
