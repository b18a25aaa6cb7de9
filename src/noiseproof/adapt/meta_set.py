"""The few clean examples that teach how much the others count."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int

from noiseproof.errors import BadData
from noiseproof.records import check_unique_ids


def check_meta_set(
    meta_ids: np.ndarray,
    meta_labels: Int[np.ndarray, " m"],
    *,
    num_classes: int,
    others: Mapping[str, np.ndarray],
    least_per_class: int = 1,
    advice: str = "",
) -> None:
    """Check that a meta set is one.

    Args:
        meta_ids: ids of its examples.
        meta_labels: class ids in [0, num_classes), clean.
        num_classes: k.
        others: what it must not share an example with: name of the set -> ids of its examples, e.g. of the
            training set and of the set that models are selected by.
        least_per_class: clean examples that each class needs.
        advice: what else could be done about an overlap, a sentence.

    Raises:
        BadData: an id twice, an example in another set, a class with too few examples.
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
