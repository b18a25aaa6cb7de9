"""The meta set of Meta-Weight-Net: a few clean examples from which the example weights are learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from noiseproof.core.checks import check_unique_ids
from noiseproof.core.errors import BadData
from noiseproof.core.records import LabelledDataset
from noiseproof.data.splits import per_class_split, subset


def check_meta_set(
    meta_ids: np.ndarray,
    meta_labels: Int[np.ndarray, " m"],
    *,
    num_classes: int,
    others: Mapping[str, np.ndarray],
    least_per_class: int = 1,
    advice: str = "",
) -> None:
    """Check that a meta set is clean of overlaps and has enough examples of every class.

    Args:
        meta_ids: ids of its examples.
        meta_labels: class ids in [0, num_classes), clean.
        num_classes: k.
        others: sets that must not overlap with it: name of the set -> ids of its examples, e.g. the training
            and validation set.
        least_per_class: least number of clean examples per class.
        advice: an alternative next step for an overlap, a sentence.

    Raises:
        BadData: a repeated id, an overlap, a class with too few examples.
    """
    check_unique_ids(meta_ids, "meta set")
    for name, ids in others.items():
        shared = np.intersect1d(meta_ids, ids)
        if len(shared):
            raise BadData(
                f"The meta set shares {len(shared)} of its {len(meta_ids)} examples with the {name}, for "
                f"example {shared[0].item()!r}; allowed: none. Next: leave them out of one of the two. "
                f"{advice}".rstrip()
            )
    counts = np.bincount(meta_labels, minlength=num_classes)
    if counts.min() < least_per_class:
        rarest = int(counts.argmin())
        raise BadData(
            f"The meta set has {counts[rarest]} clean examples of class {rarest}; allowed: {least_per_class} "
            "or more of each class. Next: check some labels of that class by hand and add them."
        )


def held_out_meta_set(
    data: LabelledDataset, *, per_class: int, seed: int
) -> tuple[LabelledDataset, Int[np.ndarray, " n"]]:
    """Take clean examples from a training set with known true labels.

    Args:
        data: with true labels.
        per_class: clean examples of each true class.
        seed: of the draw.

    Returns:
        The clean examples, with their true labels as given labels, and the rows of all other examples.

    Raises:
        BadData: the true labels are not known, or a class has too few examples.
    """
    if data.clean_labels is None:
        raise BadData(
            f"The true labels of {data.name!r} are not known, so no clean examples can be taken from it for "
            "Meta-Weight-Net. Next: check the labels of a few other examples by hand and name them with "
            "`meta`, or name the column of the true labels with `clean_label`."
        )
    clean, rest = per_class_split(
        data.clean_labels, per_class=per_class, seed=seed, class_names=data.class_names
    )
    meta = subset(data, clean, name=f"{data.name} (clean examples)")
    return replace(meta, given_labels=data.clean_labels[clean]), rest
