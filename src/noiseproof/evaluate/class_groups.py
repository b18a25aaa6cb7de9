"""Evaluate probabilities of many classes on a set with fewer or coarser classes, and on videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from noiseproof.core.checks import check_finite
from noiseproof.core.errors import BadData, invalid


@dataclass(frozen=True)
class AnchorAccuracy:
    """Accuracy on a video set.

    Attributes:
        pm0: share of anchor frames that are classified correctly, in [0, 1].
        pm_k: share of anchor frames that are correct together with all similar frames around them (pm-10
            with the ten frames before and after), in [0, pm0].
    """

    pm0: float
    pm_k: float


def merged_probs(
    probs: Float[np.ndarray, "n k"], groups: Sequence[Sequence[int]]
) -> Float[np.ndarray, "n m"]:
    r"""Probabilities of groups of classes.

    $q_{ig} \propto \max_{j \in g} p_{ij}$, scaled to sum to 1. The largest member counts, as for ObjectNet
    and ImageNet-Vid; with one member per group this is the softmax over the remaining logits, as for
    ImageNet-A and -R. A row without any probability on the groups becomes uniform.

    Args:
        probs: rows of class probabilities.
        groups: for each class of the set one or more ids in [0, k), such as those of
            `noiseproof.data.suites.suites.class_groups`.

    Returns:
        A column per group.

    Raises:
        InvalidArgument: no groups, an empty one, or an id outside the classes.
        BadData: NaN or infinity among the probabilities.

    Source: Barbu et al. 2019 (ObjectNet); Shankar et al. 2021, arXiv:1906.02168.
    """
    _check_groups(groups, probs.shape[1])
    check_finite(probs, "probs")
    members = np.concatenate([np.asarray(group, np.int64) for group in groups])
    starts = np.cumsum([0, *(len(group) for group in groups[:-1])])
    largest = np.maximum.reduceat(probs[:, members], starts, axis=1)
    total = largest.sum(axis=1, keepdims=True)
    uniform = np.full_like(largest, 1 / len(groups))
    return np.divide(largest, total, out=uniform, where=total > 0)


def anchor_accuracy(
    is_right: Bool[np.ndarray, " n"],
    anchors: Int[np.ndarray, " m"],
    neighbours: Sequence[Int[np.ndarray, " _"]],
) -> AnchorAccuracy:
    """Share of correct anchor frames, alone and together with all frames around them.

    Args:
        is_right: whether the predicted class of a frame counts as correct.
        anchors: rows of the anchor frames.
        neighbours: for each anchor, the rows of its similar frames; may be empty.

    Raises:
        BadData: no anchors, or different numbers of anchors and neighbourhoods.

    Source: Shankar et al. 2021, arXiv:1906.02168.
    """
    if len(anchors) == 0 or len(anchors) != len(neighbours):
        raise BadData(
            f"`anchors` has {len(anchors)} frames, `neighbours` {len(neighbours)} lists; allowed: one or "
            "more anchors with a list each. Next: take both from one `VideoFrames`."
        )
    alone = is_right[anchors]
    around = np.array([bool(is_right[rows].all()) for rows in neighbours])
    return AnchorAccuracy(pm0=float(alone.mean()), pm_k=float((alone & around).mean()))


def _check_groups(groups: Sequence[Sequence[int]], num_classes: int) -> None:
    if len(groups) == 0:
        raise invalid("groups", groups, "one or more groups of class ids")
    for number, group in enumerate(groups):
        if len(group) == 0 or min(group) < 0 or max(group) >= num_classes:
            raise invalid(f"groups[{number}]", group, f"one or more class ids from 0 to {num_classes - 1}")
