"""`corrupt_labels`: wrong labels with the truth kept beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from noiseproof.errors import invalid
from noiseproof.records import NoisyLabels, check_label_range, check_share
from noiseproof.registry import Registry
from noiseproof.rng import stream

# Each builder: (clean_labels, *, rate, num_classes, rng) -> given labels; the dtype may widen.
KINDS = Registry("kind of label noise", {"symmetric": "noiseproof.noise.symmetric:symmetric"})


def corrupt_labels(
    labels: Any, *, kind: str = "symmetric", rate: Any, num_classes: int, seed: int
) -> NoisyLabels:
    """Make some labels wrong.

    Args:
        labels: the clean ones, n class ids in [0, k).
        kind: a name of `KINDS`.
        rate: share of labels to change, in [0, 1].
        num_classes: k, at least 1.
        seed: the same seed gives the same labels.

    Returns:
        Labels to train on, with the truth and the transition matrix as realised.

    Raises:
        UnknownName: no such kind of noise.
        InvalidArgument: labels that are no class ids; `rate`, `num_classes` or `seed` out of range.
        BadData: a label outside the classes; its row is named.
    """
    corrupt = KINDS.load(kind)
    check_share(rate, "rate")
    if seed < 0:
        raise invalid("seed", seed, "an integer of at least 0")
    if num_classes < 1:
        raise invalid("num_classes", num_classes, "an integer of at least 1")
    clean = _class_ids(labels)
    check_label_range(clean, num_classes, "labels")
    given = corrupt(clean, rate=rate, num_classes=num_classes, rng=stream(seed, "noise", kind))
    return NoisyLabels(
        given=given,
        clean=clean,
        flipped=given != clean,
        kind=kind,
        asked_rate=float(rate),
        transition=_transition(clean, given, num_classes),
        seed=seed,
    )


def _class_ids(labels: Any) -> Int[np.ndarray, " n"]:
    """A copy of the labels; only whole numbers are classes here."""
    clean = np.array(labels)
    if clean.ndim != 1 or (len(clean) and clean.dtype.kind not in "iu"):
        raise invalid(
            "labels", f"{clean.dtype} of shape {clean.shape}", "integers of shape (n,), 0 to k - 1",
            "Next: np.unique(labels, return_inverse=True) makes class ids of names.",
        )  # fmt: skip
    return clean if len(clean) else clean.astype(np.int64)


def _transition(
    clean: Int[np.ndarray, " n"], given: Int[np.ndarray, " n"], num_classes: int
) -> Float[np.ndarray, "k k"]:
    """Row-stochastic `T[i, j] = P(given = j | clean = i)` as counted; identity where i has no examples."""
    pairs = clean.astype(np.int64) * num_classes + given
    counts = np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)
    total = counts.sum(axis=1, keepdims=True)
    return np.where(total > 0, counts / np.maximum(total, 1), np.eye(num_classes))
