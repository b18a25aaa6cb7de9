import json
from pathlib import Path

import numpy as np
import yaml

NUM_CLASSES, DIM = 3, 6


def save_clouds(path: Path, *, n: int, seed: int, spread: float = 1.0, turned: int = 0) -> Path:
    """Three clouds of features with their labels; the clouds are the same for every seed."""
    centres = np.random.default_rng(0).normal(size=(NUM_CLASSES, DIM)) * 3
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % NUM_CLASSES
    features = centres[labels] + rng.normal(size=(n, DIM)) * spread
    labels = (labels + (rng.permutation(n) < turned)) % NUM_CLASSES
    np.savez(path, features=features.astype(np.float32), labels=labels, class_names=["ant", "bee", "cat"])
    return path


def save_data(folder: Path) -> Path:
    """The files that {data} of the small recipe stands for."""
    folder.mkdir()
    save_clouds(folder / "a.npz", n=60, seed=1)
    save_clouds(folder / "b.npz", n=45, seed=2)
    save_clouds(folder / "far.npz", n=30, seed=3, spread=3.0)
    return folder


def small_recipe(**changed):
    """The keys of a recipe that is computed in a second."""
    values = {
        "name": "small", "claim": "Clouds are told apart.", "source": "nobody", "command": "none",
        "minutes": 1, "hardware": "anything", "needs": "a.npz and b.npz", "expected": "all right",
        "backbones": ["features:"],
        "tasks": {
            "a": {"train": "{data}/a.npz", "ood": ["{data}/far.npz"]},
            "b": {"train": "{data}/b.npz", "test": "{data}/a.npz"},
        },
        "heads": {"linear": {}, "nmtune": {}}, "seeds": 2, "max_steps": 6,
    }  # fmt: skip
    return values | changed


def write_recipe(path: Path, **changed) -> Path:
    path.write_text(yaml.safe_dump(small_recipe(**changed), sort_keys=False))
    return path


def small_study(folder: Path, out: str = "out", *, data: Path, **changed):
    """A finished start of the study of the small recipe with changed keys, in a folder."""
    from noiseproof.study.recipe import load_recipe
    from noiseproof.study.study import run_study

    recipe = load_recipe(write_recipe(folder / "recipe.yaml", **changed))
    return run_study(recipe, out=folder / out, cache=folder / "cache", data=data)


def request_keys(recipe, *kinds):
    """Request keys of a recipe's rows, of these kinds of measures only, if given."""
    from noiseproof.study.compute import requests_of
    from noiseproof.study.grid import Grid

    requests = requests_of(Grid(recipe))
    return [one.key for one in requests if not kinds or isinstance(one.measure, kinds)]


def facts(folder):
    """The rows of a study without what a clock says, as a set of texts."""
    lines = (folder / "study.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    for row in rows:
        for name in ("fit_s", "encode_s", "checksum"):
            row.pop(name, None)
    return sorted(json.dumps(row, sort_keys=True) for row in rows)
