"""Evaluation on copies that `cleaned-drop` and `cleaned-relabel` wrote: accuracy there is partly circular.

Suggested labels come from the same features that heads learn from, so a head agrees with them more often than
with the truth. The copy has the labels of before beside the new ones, and both are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from noiseproof.config.data import DataConfig
from noiseproof.core.array_files import open_archive
from noiseproof.core.errors import NoiseproofError
from noiseproof.core.parquet import open_file
from noiseproof.core.records import LabelledDataset, rows_by_id
from noiseproof.data.sources import open_dataset
from noiseproof.export.cleaned import DECIDED_BY, ORIGINAL

_HEAD_BYTES = 1 << 20


def labels_before_cleaning(
    config: DataConfig, name: str, dataset: LabelledDataset
) -> Int[np.ndarray, " n"] | None:
    """Class ids of the labels that a cleaned copy had before; `None` for other data sets.

    Args:
        config: of the columns.
        name: of the data set as the user wrote it.
        dataset: its examples, or some of them.
    """
    if not _has_column(Path(name), ORIGINAL) or _has_column(Path(name), DECIDED_BY):
        return None  # what people decided is no suggestion
    try:
        before = open_dataset(name, label=ORIGINAL, image=config.image, text=config.text)
    except NoiseproofError:  # somebody else's column of that name
        return None
    rows, absent = rows_by_id(dataset.ids, before.ids)
    number = {name: k for k, name in enumerate(dataset.class_names)}
    if absent or not set(before.class_names) <= number.keys():
        return None
    return np.array([number[name] for name in before.class_names])[before.given_labels][rows]


def cleaning_notes(parts: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> list[str]:
    """Notes on cleaned evaluation sets for readers of the results.

    Args:
        parts: name, labels and labels before cleaning of each.
    """
    lines = []
    for name, labels, before in parts:
        num_changed = int((labels != before).sum())
        if num_changed:
            lines.append(
                f"{name} is a cleaned copy: {num_changed} of its {len(labels)} labels are suggestions of a "
                f"detector. Accuracy against them, '{relabelled(name)}', is circular, since heads learn from "
                "the same features; the one shown first is against the labels before cleaning, which may be "
                "wrong. Next: check these labels by hand, or give a --test set that was not cleaned."
            )
        else:
            lines.append(
                f"{name} is a part of a cleaned copy: examples that looked wrong may be missing from it, so "
                "its accuracy is that of the easier ones. Next: give a --test set that was not cleaned."
            )
    return lines


def relabelled(name: str) -> str:
    """Name in the results of an evaluation set with the suggested labels."""
    return f"{name}, relabelled"


def _has_column(path: Path, name: str) -> bool:
    """Whether a file may have a column; only its head is read."""
    if not path.is_file():
        return False
    if path.suffix == ".parquet":
        return name in open_file(path).schema_arrow.names
    if path.suffix == ".npz":
        with open_archive(path, str(path)) as arrays:
            return name in arrays
    with path.open("rb") as file:
        return name.encode() in file.readline(_HEAD_BYTES)
