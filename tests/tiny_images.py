"""Folders of tiny images with two classes that differ in brightness."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def image_folder(folder: Path, *, per_class: int = 12, seed: int = 0, size: int = 16) -> str:
    rng = np.random.default_rng(seed)
    for name, base in {"dark": 60, "light": 190}.items():
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            pixels = np.clip(base + rng.normal(0, 25, (size, size, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number:02}.png")
    return str(folder)
