"""Real noise: labels that people or machines gave, beside the true ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int

from noiseproof.errors import BadData, invalid
from noiseproof.noise.draw import Draw, widened
from noiseproof.records import check_label_range


def real(
    clean_labels: Int[np.ndarray, " n"], *, num_classes: int, rng: np.random.Generator, given: Any
) -> Draw:
    """Take the labels as they were given; nothing is drawn.

    Args:
        clean_labels: class ids in [0, k).
        num_classes: k.
        rng: not used.
        given: n class ids in [0, k), such as those of CIFAR-10N.

    Raises:
        InvalidArgument: no class ids.
        BadData: another length, or a label outside the classes; its row is named.

    Source: such labels as those of Wei et al. 2022, arXiv:2110.12088 (CIFAR-10N and CIFAR-100N).
    """
    del rng
    labels = np.array(given)
    if labels.ndim != 1 or (len(labels) and labels.dtype.kind not in "iu"):
        raise invalid(
            "given", f"{labels.dtype} of shape {labels.shape}", "integers of shape (n,), 0 to k - 1"
        )
    if len(labels) != len(clean_labels):
        raise BadData(f"`given` has {len(labels)} labels, `labels` {len(clean_labels)}; they must agree.")
    check_label_range(labels, num_classes, "given")
    as_drawn = labels.astype(widened(clean_labels, num_classes).dtype)
    wrong = as_drawn != clean_labels
    return Draw(as_drawn, asked_rate=float(wrong.mean()) if len(wrong) else 0.0)
