from pathlib import Path
from typing import Any

import numpy as np

NUM_CLASSES, DIM = 3, 8
BLOBS = {"n": 90, "seed": 1}
OTHER = {"n": 30, "seed": 2, "spread": 3.0}


def options_in(folder: Path, train: Path, other: Path) -> dict[str, Any]:
    """A small, fast run in a folder."""
    return {
        "train": str(train), "ood": [str(other)], "out": folder / "run", "cache": folder / "cache",
        "seeds": 2, "max_steps": 10, "noise": "symmetric:0.2",
    }  # fmt: skip


def save_blobs(path: Path, *, n: int, seed: int, spread: float = 1.0) -> Path:
    """Three clouds of features with their labels; the clouds are the same for every seed."""
    centres = np.random.default_rng(0).normal(size=(NUM_CLASSES, DIM)) * 3
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % NUM_CLASSES
    features = centres[labels] + rng.normal(size=(n, DIM)) * spread
    np.savez(path, features=features.astype(np.float32), labels=labels, class_names=["ant", "bee", "cat"])
    return path
