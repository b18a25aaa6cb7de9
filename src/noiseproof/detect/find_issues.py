"""Find label issues: one call and one result for every detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from noiseproof.core.errors import invalid
from noiseproof.core.records import LabelIssues
from noiseproof.core.registry import unknown_name
from noiseproof.detect.detector_result import DetectorResult
from noiseproof.detect.detectors import DETECTORS, checked_options, run_detector
from noiseproof.detect.evidence import Evidence, check_examples, check_probs, columns_by_class, encode_labels
from noiseproof.detect.ridge import leave_one_out_or_transition

AUTO = "auto"


def find_label_issues(
    features: Any,
    given_labels: Any,
    *,
    method: str = AUTO,
    method_options: Mapping[str, Any] | None = None,
    probs: Any = None,
    zero_shot: Any = None,
    text_tower: Any = None,
    ids: Any = None,
    class_names: Sequence[str] = (),
    seed: int = 0,
) -> LabelIssues:
    """Find labels that are probably wrong, and suggest better ones.

    `suspicion` of the result is one minus what others call the label quality score; `probs` are the
    `pred_probs` of cleanlab. Examples are compared by the features of any frozen encoder.

    Args:
        features: (n, d) features, array-like, memory-mapped or not; `None` if the detector needs only
            probabilities.
        given_labels: (n,) labels of any type, or class ids if `class_names` are given.
        method: a name of `noiseproof ls detectors`. "auto" chooses by the available inputs and gives its
            reason in the notes: with features leave-one-out, with or without a transition matrix; otherwise
            confident learning on `probs`; otherwise the label match of `zero_shot`.
        method_options: options of the detector, e.g. {"k": 20} for "neighbours".
        probs: (n, k) out-of-sample probabilities of your own model (`pred_probs`); columns in the order of
            the sorted labels, or of `class_names`; columns of a data frame may have names.
        zero_shot: (n, k) probabilities of an image-text model; columns as for `probs`.
        text_tower: text tower of the image-text model that computed the features
            (`backbones.text_towers`); for "prompts" and "zero_shot".
        ids: (n,) example ids; row numbers by default.
        class_names: k names, also of classes without an example.
        seed: of detectors that draw random numbers; leave-one-out draws none.

    Returns:
        A record with labels in the vocabulary of `given_labels`.

    Raises:
        BadData: lengths differ, one class only, NaN or infinity (the row is named), a label that is missing
            or outside the classes, repeated ids, probabilities that do not sum to 1.
        UnknownName: the method or an option does not exist.
        InvalidArgument: an input of the method is missing, or an option is out of range.
    """
    labels = np.asarray(given_labels)
    matrices = {
        name: value if value is None or _is_numpy(value) else np.asarray(value)
        for name, value in (("features", features), ("probs", probs), ("zero_shot", zero_shot))
    }
    given = {name: value for name, value in matrices.items() if value is not None}
    if not given:
        raise invalid("features", None, "(n, d) features, or `probs` or `zero_shot` instead")
    for name, value in given.items():
        check_examples(value, labels, ids, name=name)
    classes, encoded = encode_labels(labels, tuple(class_names))
    for name, frame in (("probs", probs), ("zero_shot", zero_shot)):
        if name in given:
            check_probs(given[name], name, len(classes))
            matrices[name] = columns_by_class(given[name], frame, class_names or classes.tolist(), name)
    check_method(method, method_options)
    evidence = Evidence(encoded, classes, **matrices, text_tower=text_tower, seed=seed)
    is_auto = method == AUTO
    result = _run_auto(evidence) if is_auto else run_detector(evidence, method, method_options)
    rows = np.arange(len(labels)) if ids is None else np.asarray(ids)
    if "copies" in vars(evidence):  # a detector that leaves copies out together has found them
        names = np.array(class_names, dtype=object)[encoded] if class_names else labels
        for note in evidence.copies.notes(names, rows):
            result = result.with_note(note)
    return to_label_issues(result, encoded, classes=classes, ids=rows, class_names=tuple(class_names))


def _is_numpy(value: Any) -> bool:
    """Whether the value is a NumPy array, perhaps memory-mapped; tensors and lists are not."""
    return isinstance(getattr(value, "dtype", None), np.dtype)


def to_label_issues(
    result: DetectorResult,
    given_labels: Int[np.ndarray, " n"],
    *,
    classes: np.ndarray,
    ids: np.ndarray,
    class_names: tuple[str, ...],
) -> LabelIssues:
    """Translate a detector's result from class ids to the user's labels.

    Args:
        result: in class ids.
        given_labels: class ids.
        classes: the label of each class id.
        ids: of the examples.
        class_names: see `LabelIssues`.
    """
    return LabelIssues(
        ids=ids,
        given_labels=classes[given_labels],
        suggested_labels=classes[result.suggested_labels],
        suspicion=result.suspicion,
        is_issue=result.is_issue,
        method=result.method,
        joint=result.joint,
        classes=classes,
        probs=result.probs,
        class_names=class_names,
        notes=result.notes,
    )


def check_method(method: str, options: Mapping[str, Any] | None = None) -> None:
    """Check the name and the options of a method without running it.

    Raises:
        UnknownName, InvalidArgument: see `find_label_issues`.
    """
    if method not in (AUTO, *DETECTORS.names):
        raise unknown_name("detector", method, (AUTO, *DETECTORS.names))
    if method == AUTO and options:
        raise invalid("method_options", dict(options), "none with method 'auto'", "Name a method.")
    if method != AUTO:
        checked_options(method, options or {})


def _run_auto(evidence: Evidence) -> DetectorResult:
    """Choose a detector by the inputs: features are the best evidence, then `probs`, then `zero_shot`."""
    if evidence.features is not None:
        result = leave_one_out_or_transition(evidence)
        others = [f"`{name}`" for name in ("probs", "zero_shot") if getattr(evidence, name) is not None]
        return result.with_note(f"Features were used; {' and '.join(others)} were not.") if others else result
    name, method = (
        ("probs", "confident_learning") if evidence.probs is not None else ("zero_shot", "zero_shot")
    )
    return run_detector(evidence, method).with_note(f"Method {method!r}, because only `{name}` was given.")
