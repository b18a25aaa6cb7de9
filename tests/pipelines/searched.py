"""Small data sets and a search for wrong labels in them, without an encoder."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from noiseproof.config.detect import DetectConfig
from noiseproof.config.values import load_config
from noiseproof.pipelines.detect import detect

CLASSES = ("bee", "cat")
GIVEN = (0, 0, 0, 0, 1, 1, 1, 1)
WRONG = (0, 4)  # rows


def save_folder(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for row, label in enumerate(GIVEN):
        path = folder / CLASSES[label] / f"{row % 4}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(path)
    return folder


def save_csv(path: Path) -> Path:
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["id", "text", "label"])
        out.writerows([f"t{row}", f"text {row}", CLASSES[label]] for row, label in enumerate(GIVEN))
    return path


def save_npz(path: Path, labels=None) -> Path:
    features = np.arange(16.0, dtype=np.float32).reshape(8, 2)
    labels = np.array(CLASSES)[list(GIVEN)] if labels is None else labels
    np.savez(path, features=features, labels=labels, ids=[f"r{row}" for row in range(8)])
    return path


def made(name, folder):
    """A small data set in a format, and the ids of its eight examples."""
    if name in ("folder", "list"):
        photos = save_folder(folder / "photos")
        ids = [f"{each}/{k}.png" for each in CLASSES for k in range(4)]
        if name == "folder":
            return photos, ids
        (folder / "photos.txt").write_text(
            "".join(f"photos/{each} {CLASSES.index(each[:3])}\n" for each in ids)
        )
        return folder / "photos.txt", [f"photos/{each}" for each in ids]
    if name == "npz":
        return save_npz(folder / "train.npz"), [f"r{row}" for row in range(8)]
    frame = pd.read_csv(save_csv(folder / "first.csv"))
    path = folder / f"train.{name}"
    if name == "parquet":
        frame.to_parquet(path)
    elif name == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, sep="\t" if name == "tsv" else ",", index=False)
    return path, [f"t{row}" for row in range(8)]


def search(data: Path, out: Path, **changed):
    """Detect with probabilities that find the labels in `WRONG`."""
    probs = np.where(np.arange(2) == np.array(GIVEN)[:, None], 0.9, 0.1)
    probs[list(WRONG)] = probs[list(WRONG), ::-1]
    np.save(out.parent / "probs.npy", probs)
    options = {"train": str(data), "out": out, "probs": out.parent / "probs.npy"}
    return detect(load_config(DetectConfig, options=options | changed))
