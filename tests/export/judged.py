"""Issues that are known by construction, and data sets they are of."""

from pathlib import Path

import numpy as np
from PIL import Image

from noiseproof.core.records import LabelIssues

HOSTILE = ["a,b", 'say "hi"', "line\nbreak", "ümläut/猫.png", "=1+1", "plain"]
NAMES = ("cat, grey", "dog <&>", "Ünï")


def judged(ids=HOSTILE, *, given=(0, 1, 2, 0, 1, 2), suggested=(1, 1, 2, 0, 0, 2), names=NAMES):
    """Labels that are issues where another one is suggested."""
    given, suggested = np.array(given), np.array(suggested)
    is_issue = given != suggested
    joint = np.zeros((len(names), len(names)))
    np.add.at(joint, (suggested, given), 1.0)
    return LabelIssues(
        ids=np.array(ids),
        given_labels=given,
        suggested_labels=suggested,
        suspicion=np.where(is_issue, 0.9, 0.1) - np.arange(len(given)) / 1000,
        is_issue=is_issue,
        method="by hand",
        joint=joint,
        classes=np.arange(len(names)),
        class_names=names,
        notes=("made up",),
    )


def save_images(folder: Path, names) -> None:
    rng = np.random.default_rng(0)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(folder / name)
