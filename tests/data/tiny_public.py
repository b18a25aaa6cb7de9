"""Public data sets with a handful of images, in the folder layout that torchvision or their authors use."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image


def picture(path: Path, shade: int = 100, size: tuple[int, int] = (12, 10)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, 50, 200)).save(path)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def make_pets(root: Path) -> None:
    """torchvision.datasets.OxfordIIITPet: id, class from 1, cat or dog, breed number."""
    base = root / "oxford-iiit-pet"
    for split, rows in (("trainval", (1, 2, 3)), ("test", (4, 5))):
        lines = [f"{name}_{row} {c} 1 {c}" for row in rows for c, name in ((1, "Abyssinian"), (2, "pug"))]
        write(base / "annotations" / f"{split}.txt", "\n".join(lines) + "\n")
        for line in lines:
            picture(base / "images" / f"{line.split()[0]}.jpg")
    (base / "annotations" / "trimaps").mkdir(exist_ok=True)


def make_aircraft(root: Path) -> None:
    """torchvision.datasets.FGVCAircraft; names of variants have spaces."""
    base = root / "fgvc-aircraft-2013b" / "data"
    write(base / "variants.txt", "707-320\nCessna 172\n")
    rows = {"train": ("0001 707-320",), "val": ("0002 Cessna 172",), "test": ("0003 Cessna 172",)}
    rows["trainval"] = rows["train"] + rows["val"]
    for split, lines in rows.items():
        write(base / f"images_variant_{split}.txt", "\n".join(lines) + "\n")
        for line in lines:
            picture(base / "images" / f"{line.split()[0]}.jpg")


def make_food(root: Path) -> None:
    """torchvision.datasets.Food101: a JSON of class -> paths without their ending."""
    base = root / "food-101"
    for split, rows in (("train", (1, 2)), ("test", (3,))):
        names = {name: [f"{name}/{row}" for row in rows] for name in ("apple_pie", "waffles")}
        write(base / "meta" / f"{split}.json", json.dumps(names))
        for paths in names.values():
            for path in paths:
                picture(base / "images" / f"{path}.jpg")


def make_textures(root: Path) -> None:
    """torchvision.datasets.DTD, partition 1."""
    base = root / "dtd" / "dtd"
    for number, split in enumerate(("train", "val", "test")):
        lines = [f"{name}/{name}_{number}.jpg" for name in ("banded", "woven")]
        write(base / "labels" / f"{split}1.txt", "\n".join(lines) + "\n")
        for line in lines:
            picture(base / "images" / line)


def make_rendered(root: Path) -> None:
    """torchvision.datasets.RenderedSST2."""
    for folder in ("train", "valid", "test"):
        for name in ("negative", "positive"):
            picture(root / "rendered-sst2" / folder / name / "1.png")


def make_cars(root: Path) -> None:
    """torchvision.datasets.StanfordCars: MATLAB files with structs."""
    from scipy.io import savemat

    base = root / "stanford_cars"
    (base / "devkit").mkdir(parents=True)
    names = np.array(["AM General Hummer", "Acura RL"], dtype=object)
    savemat(base / "devkit" / "cars_meta.mat", {"class_names": names})
    kind = [("fname", object), ("class", object)]
    for split, path in (
        ("train", base / "devkit" / "cars_train_annos.mat"),
        ("test", base / "cars_test_annos_withlabels.mat"),
    ):
        rows = np.array([("1.jpg", 1), ("2.jpg", 2)], dtype=kind)
        savemat(path, {"annotations": rows})
        for row in (1, 2):
            picture(base / f"cars_{split}" / f"{row}.jpg")


def make_flowers(root: Path) -> dict[str, str]:
    """torchvision.datasets.Flowers102, which checks the MD5 of its files; returns those written."""
    import hashlib

    from scipy.io import savemat

    base = root / "flowers-102"
    base.mkdir(parents=True)
    savemat(base / "imagelabels.mat", {"labels": np.array([[1, 2, 1, 2, 1, 2]], np.uint8)})
    splits = {"trnid": [[1, 2]], "valid": [[3, 4]], "tstid": [[5, 6]]}
    savemat(base / "setid.mat", {name: np.array(rows, np.uint16) for name, rows in splits.items()})
    for number in range(1, 7):
        picture(base / "jpg" / f"image_{number:05d}.jpg", shade=number)
    names = {"label": "imagelabels.mat", "setid": "setid.mat"}
    return {key: hashlib.md5((base / name).read_bytes()).hexdigest() for key, name in names.items()}


def make_domain(root: Path) -> None:
    """A domain of DomainNet: lists beside the folders, one folder with a space in its name."""
    base = root / "domainnet"
    for split, rows in (("train", (1, 2)), ("test", (3,))):
        lines = [
            f"sketch/{name}/sketch_{number:03d}_{row:06d}.jpg {number}"
            for row in rows
            for number, name in ((0, "aircraft_carrier"), (1, "The Eiffel Tower"))
        ]
        write(base / f"sketch_{split}.txt", "\n".join(lines) + "\n")
        for line in lines:
            picture(base / line.rpartition(" ")[0])


def make_imagenet_like(folder: Path, classes: tuple[str, ...]) -> None:
    """An ImageFolder tree."""
    for name in classes:
        picture(folder / name / "1.jpg")


def make_objectnet(root: Path) -> Path:
    """Three folders, of which two are shared with ImageNet; a red frame of two pixels around each image."""
    base = root / "objectnet-1.0"
    for name in ("banana", "bicycle", "squeegee"):
        image = Image.new("RGB", (14, 12), (255, 0, 0))
        image.paste((10, 20, 30), (2, 2, 12, 10))
        path = base / "images" / name / "1.png"
        path.parent.mkdir(parents=True)
        image.save(path)
    maps = base / "mappings"
    labels = {"banana": "Banana", "bicycle": "Bicycle", "squeegee": "Squeegee"}
    write(maps / "folder_to_objectnet_label.json", json.dumps(labels))
    bicycles = (
        "mountain bike, all-terrain bike, off-roader",
        "bicycle-built-for-two, tandem bicycle, tandem",
    )
    shared = {"Banana": "banana", "Bicycle": "; ".join(bicycles)}
    write(maps / "objectnet_to_imagenet_1k.json", json.dumps(shared))
    # Line of the label file -> class of ImageNet, the other way round as published.
    write(maps / "pytorch_to_imagenet_2012_id.json", json.dumps({"954": 0, "671": 1, "444": 2}))
    write(maps / "imagenet_to_label_2012_v2", "\n".join(["banana", *bicycles]) + "\n")
    return base


def make_videos(root: Path) -> Path:
    """Two classes, two videos of three frames, one anchor each; one frame has two labels that count."""
    base = root / "imagenet_vid_ytbb_robust" / "imagenet-vid-robust"
    frames = [f"val/video_{video}/{row:06d}.JPEG" for video in (0, 1) for row in (0, 1, 2)]
    for frame in frames:
        picture(base / frame)
    labels = {frame: [0] if "video_0" in frame else [1] for frame in frames}
    labels[frames[5]] = [1, 0]
    write(base / "metadata" / "labels.json", json.dumps(labels))
    sets = {frames[1]: [frames[0], frames[2]], frames[4]: [frames[3], frames[5]]}
    write(base / "metadata" / "pmsets.json", json.dumps(sets))
    index = {"0": ["n02691156", "airplane"], "1": ["n02503517", "elephant"]}
    write(base / "misc" / "imagenet_vid_class_index.json", json.dumps(index))
    members = {"n02691156": ["n02690373"], "n02503517": ["n02504013", "n02504458"]}
    write(base / "misc" / "rev_wnid_map.json", json.dumps(members))
    return base
