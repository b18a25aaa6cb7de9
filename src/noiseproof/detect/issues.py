"""Find wrong labels from features and given labels: one call, one schema for every detector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from noiseproof.errors import BadData, invalid
from noiseproof.posterior.calibration import calibrate
from noiseproof.posterior.leave_one_out import leave_one_out
from noiseproof.records import (
    LabelIssues,
    check_finite,
    check_label_range,
    check_labels_present,
    check_matrix,
    check_unique_ids,
)
from noiseproof.registry import Registry

DETECTORS = Registry("detector", {"leave_one_out": "noiseproof.detect.issues:ridge_issues"})


def find_label_issues(
    features: Any,
    given_labels: Any,
    *,
    method: str = "auto",
    ids: Any = None,
    class_names: Sequence[str] = (),
    seed: int = 0,
) -> LabelIssues:
    """Which labels are probably wrong, and what they should be.

    Args:
        features: (n, d) of any frozen encoder; array-like, memory-mapped or not.
        given_labels: (n,) labels of any type, or class ids where `class_names` are given.
        method: "leave_one_out", or "auto", which is the same today.
        ids: (n,) example ids; row numbers by default.
        class_names: k names; also says how many classes there are.
        seed: of detectors that draw random numbers; leave-one-out draws none.

    Returns:
        A record whose labels are in the vocabulary of `given_labels`.

    Raises:
        BadData: lengths differ, one class only, NaN or infinity (the row is named), a label that is missing
            or no class, ids that repeat.
        UnknownName: no such method.
    """
    if not hasattr(features, "dtype"):  # a list, a data frame
        features = np.asarray(features)
    labels = np.asarray(given_labels)
    check_examples(features, labels, ids)
    classes, encoded = encoded_labels(labels, tuple(class_names))
    detector = DETECTORS.load("leave_one_out" if method == "auto" else method)
    return detector(
        features,
        encoded,
        classes=classes,
        ids=np.arange(len(labels)) if ids is None else np.asarray(ids),
        class_names=tuple(class_names),
        seed=seed,
    )


def ridge_issues(
    features: Any,
    given_labels: np.ndarray,
    *,
    classes: np.ndarray,
    ids: np.ndarray,
    class_names: tuple[str, ...],
    seed: int,
) -> LabelIssues:
    """Calibrated leave-one-out probabilities of a ridge head (`posterior.leave_one_out`, `.calibration`).

    A label is an issue where it is more likely wrong than right.
    """
    del seed  # nothing is drawn
    scores = leave_one_out(features, given_labels, num_classes=len(classes)).scores
    calibrated = calibrate(scores, given_labels)
    is_issue = calibrated.suspicion > 0.5
    others = calibrated.probs.copy()
    np.put_along_axis(others, given_labels[:, None], -1.0, axis=1)
    # Also where right is likelier than wrong: who reviews by suspicion wants to know what else it is.
    suggested = np.where(is_issue, others.argmax(1), calibrated.probs.argmax(1))
    return LabelIssues(
        ids=ids,
        given_labels=classes[given_labels],
        suggested_labels=classes[suggested],
        suspicion=calibrated.suspicion,
        is_issue=is_issue,
        method="leave_one_out",
        probs=calibrated.probs,
        class_names=class_names,
    )


def encoded_labels(labels: np.ndarray, class_names: tuple[str, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
    """The vocabulary of the labels, and each label's place in it.

    Raises:
        BadData: one class only, types that have no order, a class id without a name.
    """
    if class_names:
        if not np.issubdtype(labels.dtype, np.integer):
            raise invalid(
                "given_labels", labels.dtype.name, "class ids (integers) where `class_names` are given"
            )
        check_label_range(labels, len(class_names), "given_labels")
        classes, encoded = np.arange(len(class_names)), labels.astype(np.int64)
    else:
        try:
            classes, encoded = np.unique(labels, return_inverse=True)
        except TypeError as error:
            raise BadData(
                f"`given_labels` mixes types that have no order ({error}); allowed: one type."
            ) from error
    if len(np.unique(encoded)) < 2:
        raise BadData(
            f"`given_labels` hold one class only, {labels[:1].tolist()[0]!r}; allowed: two or more. "
            "Next: check the label column."
        )
    return classes, encoded


def check_examples(features: Any, labels: np.ndarray, ids: Any, *, name: str = "features") -> None:
    """Raise unless rows and labels are there, finite and as many.

    Args:
        features: (n, d) array, memory-mapped or not.
        labels: (n,).
        ids: (n,), each once, or `None`.
        name: of the rows, for messages.
    """
    check_matrix(features, name)
    if labels.ndim != 1:
        raise invalid("given_labels", labels.shape, "an array of one axis, (n,)")
    for which, values in (("given_labels", labels), ("ids", ids)):
        if values is not None and len(values) != len(features):
            raise BadData(
                f"`{which}` has {len(values)} rows, `{name}` {len(features)}; they must agree. "
                "Next: pass the labels of exactly these examples."
            )
    if ids is not None:
        check_unique_ids(np.asarray(ids), "ids")
    if len(labels) < 2:
        raise BadData(f"`{name}` has {len(labels)} rows; allowed: two or more.")
    check_labels_present(labels, "given_labels")
    for start in range(0, len(labels), 8192):
        check_finite(np.asarray(features[start : start + 8192]), name, first_row=start)
