from pathlib import Path

import numpy as np

NUM_CLASSES, DIM = 3, 8


def save_blobs(path: Path, *, n: int, seed: int, spread: float = 1.0) -> Path:
    """Three clouds of features with their labels; the clouds are the same for every seed."""
    centres = np.random.default_rng(0).normal(size=(NUM_CLASSES, DIM)) * 3
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % NUM_CLASSES
    features = centres[labels] + rng.normal(size=(n, DIM)) * spread
    np.savez(path, features=features.astype(np.float32), labels=labels, class_names=["ant", "bee", "cat"])
    return path
