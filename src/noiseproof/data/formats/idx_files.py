"""`idx:FOLDER/train`: the pair of files that MNIST and its kin come in."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from noiseproof.core.errors import BadData, MissingFile, NoiseproofError
from noiseproof.core.limits import UNPACKED_BYTES, above, is_bomb
from noiseproof.core.records import LabelledDataset
from noiseproof.core.storage.regular_files import open_regular
from noiseproof.data.examples import PixelReader
from noiseproof.data.formats.labelled_tables import row_ids
from noiseproof.data.lazy_dataset import lazy_dataset
from noiseproof.data.request import Request

_ALIASES = {"test": "t10k"}  # what the files of the test split are called
_UINT8 = 0x08
_FASHION = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


def open_idx(address: str, request: Request) -> LabelledDataset:
    """Grey images `<address>-images-idx3-ubyte` and class ids `<address>-labels-idx1-ubyte`, or their .gz.

    The last part of the address is what the names of the files begin with; `test` also finds `t10k`.
    Classes are called by their numbers; in a folder whose name has "fashion" in it, by those of
    Fashion-MNIST. The images are held in memory.

    Raises:
        MissingFile: one of the two files is absent.
        BadData: a file of another type or rank, or a truncated one.
    """
    request.refuse_columns()
    path = Path(address)
    pixels = _read(_find(path, "images-idx3-ubyte", request.name), rank=3)
    labels = _read(_find(path, "labels-idx1-ubyte", request.name), rank=1).astype(np.int64)
    if len(pixels) != len(labels):
        raise BadData(
            f"{request.name!r} has {len(pixels)} images and {len(labels)} labels; allowed: as many of each. "
            "Next: fetch both files again."
        )
    ids = row_ids(path.name, len(pixels))
    return lazy_dataset(
        PixelReader(pixels), request, ids=ids, labels=labels, class_names=_class_names(path, labels)
    )


def _find(path: Path, ending: str, owner: str) -> Path:
    stems = [path.name, _ALIASES[path.name]] if path.name in _ALIASES else [path.name]
    places = [path.with_name(f"{stem}-{ending}{packed}") for stem in stems for packed in ("", ".gz")]
    for place in places:
        if place.is_file():
            return place
    raise MissingFile(
        f"{owner!r} has no file {str(places[0])!r}; searched: {', '.join(p.name for p in places)}. "
        "Next: name the folder and what its files begin with, e.g. "
        "idx:/usr/share/datasets/fashion-mnist/train."
    )


def _read(path: Path, *, rank: int) -> np.ndarray:
    """Two zero bytes, the type, the rank, one big-endian 32-bit length per axis, then the values."""
    try:
        with open_regular(path) as packed:
            size_bytes = os.fstat(packed.fileno()).st_size
            file = gzip.GzipFile(fileobj=packed) if path.suffix == ".gz" else packed
            shape = _shape(file.read(4 + 4 * rank), path, rank)
            expected = math.prod(shape)
            if is_bomb(expected, size_bytes):
                raise BadData(f"{str(path)!r}: {above(f'{expected} bytes, unpacked,', UNPACKED_BYTES)}.")
            content = file.read(expected + 1)
    except (OSError, EOFError, zlib.error) as error:
        if isinstance(error, NoiseproofError):
            raise
        raise BadData(f"{str(path)!r} cannot be read ({error}). Next: fetch it again.") from error
    if len(content) != expected:
        held = f"more than {expected}" if len(content) > expected else str(len(content))
        raise BadData(
            f"{str(path)!r} holds {held} values; its header promises "
            f"{' x '.join(map(str, shape))} = {expected}. Next: fetch it again."
        )
    return np.frombuffer(content, np.uint8).reshape(shape)


def _shape(head: bytes, path: Path, rank: int) -> tuple[int, ...]:
    if len(head) < 4 + 4 * rank or head[:4] != bytes((0, 0, _UINT8, rank)):
        raise BadData(
            f"{str(path)!r} begins with {head[:4].hex(' ')!r}; allowed: an IDX file of bytes with {rank} "
            f"axes, '00 00 08 {rank:02x}'. Next: check that the file fits its name."
        )
    return struct.unpack(f">{rank}I", head[4:])


def _class_names(path: Path, labels: np.ndarray) -> tuple[str, ...]:
    highest = int(labels.max(initial=0))
    folders = path.resolve().parts[-3:-1]  # also FashionMNIST/raw/
    if any("fashion" in folder.lower() for folder in folders) and highest < len(_FASHION):
        return _FASHION
    return tuple(map(str, range(max(highest + 1, 10))))
