"""WebDataset shards as a data set: images with their captions (or classes) as labels, read where they lie."""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple, final

import pyarrow as pa

from noiseproof.core.errors import BadData
from noiseproof.core.records import LabelledDataset
from noiseproof.core.storage.regular_files import open_regular
from noiseproof.data.classes import encode_labels
from noiseproof.data.examples import AbstractReader
from noiseproof.data.formats.folder_walk import IMAGE_SUFFIXES
from noiseproof.data.lazy_dataset import lazy_dataset
from noiseproof.data.pairs.pair_shards import TAR_ERRORS, CheckedMember, ShardPairs, split_name
from noiseproof.data.request import Request


def open_shards(address: str, request: Request) -> LabelledDataset:
    """One .tar file or a folder of them, uncompressed; the files of an example share a name.

    `000017.jpg` and `000017.txt` are one example. Its label is the text of the file with the extension that
    `label` names, "txt" by default. Ids and fingerprint are those of `noiseproof corrupt`: its manifests fit.

    Raises:
        BadData: a shard that cannot be read, an example without image or label, or with two images.
    """
    request.refuse_columns("image", "text", "clean_label", because="is a set of tar shards")
    path = Path(address)
    scan = ShardPairs(path, caption=request.label, image=None).scan()
    places: dict[str, _Place] = {}
    for shard in sorted(path.glob("*.tar")) if path.is_dir() else [path]:
        for example_id, place in _images(shard):
            if example_id in places:
                raise BadData(f"{example_id!r} of {request.name!r} has two images; allowed: one.")
            places[example_id] = place
    texts = pa.chunked_array([pa.array([text.strip() for text in scan.captions], pa.large_string())])
    labels, names = encode_labels({"label": texts}, owner=request.name, missing_label=request.missing_label)
    reader = ShardReader([places[each] for each in scan.ids.tolist()])
    return lazy_dataset(
        reader, request, ids=scan.ids, labels=labels["label"], class_names=names, key=scan.fingerprint
    )


class _Place(NamedTuple):
    """Position of the bytes of an image: shard, first byte, number of bytes."""

    shard: Path
    begin: int
    size: int


@final
class ShardReader(AbstractReader):
    """Images inside tar files, each read by its offset."""

    def __init__(self, places: list[_Place]) -> None:
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def read(self, row: int) -> bytes:
        """Encoded bytes of the image."""
        shard, begin, size = self._places[row]
        with shard.open("rb") as file:
            file.seek(begin)
            return file.read(size)


def _images(shard: Path) -> list[tuple[str, _Place]]:
    """Id and place of every image in a shard; only the headers are read."""
    try:
        with (
            open_regular(shard) as file,
            tarfile.open(fileobj=file, mode="r:", tarinfo=CheckedMember) as archive,
        ):
            members = [member for member in archive if member.isfile()]
    except TAR_ERRORS as error:
        raise BadData(
            f"The shard {str(shard)!r} cannot be read by offset ({error}); allowed: uncompressed tar. "
            "Next: unpack it with gunzip."
        ) from error
    found = []
    for member in members:
        if PurePosixPath(member.name).suffix.lower() in IMAGE_SUFFIXES:
            pair, _ = split_name(member.name)
            found.append((f"{shard.stem}/{pair}", _Place(shard, member.offset_data, member.size)))
    return found
