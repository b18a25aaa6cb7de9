"""How the classes of ImageNet's variants map to its 1,000, from the files each variant is published with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int
from PIL import Image

from noiseproof.core.errors import BadData, MissingFile
from noiseproof.core.plurals import some
from noiseproof.core.records import LabelledDataset
from noiseproof.core.storage.json_text import BadJson, parse_json
from noiseproof.core.storage.regular_files import read_regular
from noiseproof.data.examples import CellReader, FileReader, Transformed
from noiseproof.data.fingerprints import derived_fingerprint
from noiseproof.data.formats.folders import open_folder
from noiseproof.data.lazy_dataset import lazy_dataset
from noiseproof.data.request import Request

Groups = tuple[tuple[int, ...], ...]  # per class, the ImageNet classes it stands for
_BORDER_PX = 2  # ObjectNet puts a red frame around its images, so that nobody trains on them by mistake


@dataclass(frozen=True, eq=False)
class VideoFrames:
    """ImageNet-Vid-Robust (Shankar et al. 2021): frames of videos, some of them anchors with neighbours.

    Attributes:
        dataset: the frames; the given label is the first of those that count as right.
        is_accepted: classes that count as right.
        anchors: rows of the anchor frames.
        neighbours: per anchor, the rows of the similar frames around it.
    """

    dataset: LabelledDataset
    is_accepted: Bool[np.ndarray, "n k"]
    anchors: Int[np.ndarray, " m"]
    neighbours: tuple[Int[np.ndarray, " _"], ...]


@cache
def imagenet_wnids() -> tuple[str, ...]:
    """The WordNet ids of ImageNet's 1,000 classes, in their order, as timm ships them.

    Raises:
        MissingExtra: timm is not installed.
    """
    from noiseproof.core.torchvision_ops import import_beside_torchvision

    timm = import_beside_torchvision("timm", extra="vision", purpose="the list of ImageNet's classes")
    return tuple(timm.data.ImageNetInfo("imagenet-1k").label_names())


def groups_by_wnid(class_names: Sequence[str], owner: str) -> Groups:
    """Classes that are called by their WordNet ids, as the folders of ImageNet-A, -R and -Sketch.

    Raises:
        BadData: names that are no class of ImageNet-1K; they are listed.
    """
    index = {wnid: number for number, wnid in enumerate(imagenet_wnids())}
    _refuse(
        [name for name in class_names if name not in index], owner, "WordNet ids of ImageNet-1K, as n01440764"
    )
    return tuple((index[name],) for name in class_names)


def groups_by_number(class_names: Sequence[str], owner: str) -> Groups:
    """Classes that are called by ImageNet's class number, as the folders of ImageNet-V2.

    Raises:
        BadData: names that are no number from 0 to 999; they are listed.
    """
    known = {str(number) for number in range(1000)}
    _refuse([name for name in class_names if name not in known], owner, "class numbers, 0 to 999")
    return tuple((int(name),) for name in class_names)


def open_objectnet(root: Path, request: Request) -> LabelledDataset:
    """`images/<class>/` of an unpacked ObjectNet: the classes it shares with ImageNet, without the red frame.

    Raises:
        MissingFile: the images or one of the mapping files are absent.
        BadData: a mapping file is not what it should be.
    """
    groups = objectnet_groups(root)
    images = root / "images"
    if not images.is_dir():
        raise MissingFile(f"{request.name!r} has no folder {str(images)!r}. Next: unpack ObjectNet there.")
    shared = open_folder(str(images), request, only=groups)
    return replace(
        shared,
        examples=Transformed(shared.examples, shared.ids, _without_border),
        fingerprint=derived_fingerprint(shared.fingerprint, f"crop {_BORDER_PX} px"),
    )


def objectnet_groups(root: Path) -> dict[str, tuple[int, ...]]:
    """Folder of ObjectNet -> its ImageNet classes, from the four files in `mappings/` of its archive."""
    folder = root / "mappings"
    labels = _json(folder / "folder_to_objectnet_label.json")
    shared = _json(folder / "objectnet_to_imagenet_1k.json")
    numbers = _json(folder / "pytorch_to_imagenet_2012_id.json")
    lines = _text(folder / "imagenet_to_label_2012_v2").splitlines()
    try:
        class_of_2012 = {int(theirs): int(ours) for ours, theirs in numbers.items()}
        number = {line.strip(): class_of_2012[row] for row, line in enumerate(lines)}
        folder_of = {label: name for name, label in labels.items()}
        return {
            folder_of[label]: tuple(number[name] for name in names.split("; "))
            for label, names in shared.items()
        }
    except (KeyError, ValueError, AttributeError) as error:
        raise BadData(
            f"The mapping files in {str(folder)!r} do not fit each other ({error!r}); allowed: the four "
            "files of one ObjectNet archive. Next: unpack them again."
        ) from error


def video_groups(root: Path) -> tuple[tuple[str, ...], Groups]:
    """Names of the classes of ImageNet-Vid and the ImageNet classes of each, from `misc/` of its archive."""
    index = _json(root / "misc" / "imagenet_vid_class_index.json")
    members = _json(root / "misc" / "rev_wnid_map.json")
    try:
        classes = [index[str(number)] for number in range(len(index))]
        wnids = [members[wnid] for wnid, _ in classes]
    except (KeyError, ValueError, TypeError) as error:
        raise BadData(
            f"The files in {str(root / 'misc')!r} do not fit each other ({error!r}). Next: unpack them again."
        ) from error
    flat = groups_by_wnid([wnid for group in wnids for wnid in group], str(root))
    numbers = iter(number for (number,) in flat)
    return tuple(name for _, name in classes), tuple(tuple(next(numbers) for _ in group) for group in wnids)


def open_video_frames(root: Path, request: Request) -> VideoFrames:
    """An unpacked ImageNet-Vid-Robust: the frames that `metadata/labels.json` and `pmsets.json` name.

    Raises:
        MissingFile: one of the files is absent.
        BadData: a frame of a set has no label, or a file is not what it should be.
    """
    class_names, _ = video_groups(root)
    accepted = _json(root / "metadata" / "labels.json")
    sets = _json(root / "metadata" / "pmsets.json")
    frames = sorted({*sets, *(frame for near in sets.values() for frame in near)})
    unlabelled = [frame for frame in frames if not accepted.get(frame)]
    _refuse(unlabelled, request.name, "frames with a label in metadata/labels.json")
    row = {frame: number for number, frame in enumerate(frames)}
    is_accepted = np.zeros((len(frames), len(class_names)), bool)
    for frame in frames:
        is_accepted[row[frame], accepted[frame]] = True
    ids, reader = np.array(frames), FileReader(CellReader(frames), root)
    first = np.array([accepted[frame][0] for frame in frames], np.int64)
    dataset = lazy_dataset(reader, request, ids=ids, labels=first, class_names=class_names)
    return VideoFrames(
        dataset=dataset,
        is_accepted=is_accepted,
        anchors=np.array([row[anchor] for anchor in sets], np.int64),
        neighbours=tuple(np.array([row[frame] for frame in near], np.int64) for near in sets.values()),
    )


def _without_border(image: Image.Image, example_id: str) -> Image.Image:
    del example_id  # every image alike
    return image.crop((_BORDER_PX, _BORDER_PX, image.width - _BORDER_PX, image.height - _BORDER_PX))


def _refuse(unknown: Sequence[str], owner: str, allowed: str) -> None:
    if unknown:
        raise BadData(
            f"{owner!r} has {some(map(repr, unknown), 5)}; allowed: {allowed}. "
            "Next: check that this is the data set."
        )


def _json(path: Path) -> dict[str, Any]:
    try:
        content = parse_json(_text(path))
    except BadJson as error:
        raise BadData(f"{str(path)!r} is no JSON ({error}). Next: unpack it again.") from error
    if not isinstance(content, dict):
        raise BadData(f"{str(path)!r} holds a {type(content).__name__}; allowed: an object of names.")
    return content


def _text(path: Path) -> str:
    try:
        return read_regular(path).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise MissingFile(
            f"There is no file {str(path)!r}; class mappings come from the archive of the data set. "
            "Next: unpack all of it there."
        ) from error
    except UnicodeDecodeError as error:
        raise BadData(f"{str(path)!r} is not UTF-8 text. Next: unpack it again.") from error
