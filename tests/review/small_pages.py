"""Small review pages, made without an encoder."""

import numpy as np
from PIL import Image

from noiseproof.core.records import LabelIssues, LabelledDataset
from noiseproof.data.examples import Rows
from noiseproof.features.matrix import ShardedMatrix
from noiseproof.review.review_page import write_review

CLASSES = ("ant", "bee", "cat")


def judged(n=12, *, kind="image", ids=None, classes=CLASSES, texts=None):
    """Issues of n examples, every third suspicious and of the next class; the first ones most."""
    given = np.arange(n) % len(classes)
    is_issue = np.arange(n) % 3 == 0
    issues = LabelIssues(
        ids=np.array(ids or [f"{classes[g]}/{row}.png" for row, g in enumerate(given)], dtype=object),
        given_labels=given,
        suggested_labels=np.where(is_issue, (given + 1) % len(classes), given),
        suspicion=np.where(is_issue, 0.9, 0.1) - np.arange(n) / (20 * n),
        is_issue=is_issue,
        method="transition",
        joint=np.eye(len(classes)) * n / len(classes),
        classes=np.arange(len(classes)),
        class_names=classes,
    )
    assert n < 99 or kind == "features"
    examples = {
        "image": [Image.new("RGB", (150, 120), (row, 90, 60)) for row in range(min(n, 99))],
        "text": texts or [f"text number {row}" for row in range(n)],
        "features": Rows(np.zeros((n, 1), np.float32)),
    }[kind]
    dataset = LabelledDataset(
        name="photos", kind=kind, examples=examples, ids=issues.ids, given_labels=given,
        class_names=classes, fingerprint="f" * 64,
    )  # fmt: skip
    return issues, dataset


def features_of(n=12, dim=4, seed=0):
    """Clouds of three classes; the first two rows are equal and have different labels."""
    rng = np.random.default_rng(seed)
    rows = (np.eye(3, dim)[np.arange(n) % 3] * 4 + rng.normal(size=(n, dim))).astype(np.float32)
    rows[1] = rows[0]
    return ShardedMatrix([rows])


def small_page(folder, n=12, *, drawn=(), decisions=(), contents=(), **options):
    """A page in a folder; returns its path and the issues."""
    issues, dataset = judged(n, **options)
    folder.mkdir(parents=True, exist_ok=True)
    page = write_review(
        folder / "review.html", issues, dataset, features_of(n), drawn=drawn, decisions=decisions,
        contents=contents,
    )  # fmt: skip
    return page, issues
