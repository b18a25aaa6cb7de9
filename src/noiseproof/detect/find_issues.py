"""Find label issues: one call and one result for every detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from noiseproof.core.arrays import as_matrix
from noiseproof.core.class_names import label_text, name_hints
from noiseproof.core.errors import invalid
from noiseproof.core.records import LabelIssues
from noiseproof.detect.arguments import as_class_ids, as_ids, ids_of, in_class_order
from noiseproof.detect.column_order import check_column_order
from noiseproof.detect.detector_result import DetectorResult
from noiseproof.detect.detectors import AUTO, check_method, run_detector
from noiseproof.detect.evidence import Evidence, check_examples, check_probs, encode_labels
from noiseproof.detect.ridge import leave_one_out_or_transition
from noiseproof.detect.signal import with_signal_note


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
        features: (n, d) features: an array, memory-mapped or not, a tensor, a data frame, a sparse matrix, or
            a column of lists; `None` if the detector needs only probabilities.
        given_labels: (n,) labels of any type, or class ids if `class_names` are given.
        method: a name of `noiseproof ls detectors`. "auto" chooses by the available inputs and gives its
            reason in the notes: with features leave-one-out, with or without a transition matrix; otherwise
            confident learning on `probs`; otherwise the label match of `zero_shot`.
        method_options: options of the detector, e.g. {"k": 20} for "neighbours".
        probs: (n, k) out-of-sample probabilities of your own model (`pred_probs`). Columns of a data frame
            are matched by name. Those of an array are in the order of `class_names`, else of
            `np.unique(given_labels)`: numbers by value, texts by letters, so "10" before "2".
        zero_shot: (n, k) probabilities of an image-text model; columns as for `probs`.
        text_tower: text tower of the image-text model that computed the features
            (`backbones.image_text.text_towers`); for "prompts" and "zero_shot".
        ids: (n,) example ids; by default the index of a data frame or series, else row numbers.
        class_names: k names, also of classes without an example.
        seed: of detectors that draw random numbers; leave-one-out draws none.

    Returns:
        A record with labels in the vocabulary of `given_labels`.

    Raises:
        BadData: lengths or indices differ, one class only, NaN or infinity (the row is named), a label that
            is missing or outside the classes, repeated ids, probabilities that do not sum to 1 or whose
            columns are in another order.
        UnknownName: the method or an option does not exist.
        InvalidArgument: an input of the method is missing, or an option is out of range.
    """
    passed = {
        name: value
        for name, value in (("features", features), ("probs", probs), ("zero_shot", zero_shot))
        if value is not None
    }
    if not passed:
        raise invalid("features", None, "(n, d) features, or `probs` or `zero_shot` instead")
    names = tuple(map(label_text, class_names))
    labels = as_class_ids(given_labels, names)
    matrices = {name: as_matrix(value, name) for name, value in passed.items()}
    for name, value in matrices.items():
        check_examples(value, labels, None if ids is None else as_ids(ids), name=name)
    rows, notes = ids_of(ids, {"given_labels": given_labels, **passed}, len(labels))
    classes, encoded = encode_labels(labels, names)
    for name in passed.keys() - {"features"}:
        matrices[name], is_named = in_class_order(matrices[name], passed[name], name, classes.tolist(), names)
        check_probs(matrices[name], name, len(classes))
        if not is_named:
            check_column_order(matrices[name], encoded, names or classes.tolist(), name)
    check_method(method, method_options)
    evidence = Evidence(encoded, classes, **matrices, text_tower=text_tower, seed=seed)
    is_auto = method == AUTO
    result = _run_auto(evidence) if is_auto else run_detector(evidence, method, method_options)
    if "copies" in vars(evidence):  # a detector that leaves copies out together has found them
        shown = np.array(names, dtype=object)[encoded] if names else classes[encoded]
        notes = [*notes, *evidence.copies.notes(shown, rows)]
    for note in (*notes, *name_hints(names or classes.tolist())):
        result = result.with_note(note)
    return to_label_issues(result, encoded, classes=classes, ids=rows, class_names=names)


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
    low, high = result.rate_range or (None, None)
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
        noise_rate_low=low,
        noise_rate_high=high,
    )


def _run_auto(evidence: Evidence) -> DetectorResult:
    """Choose a detector by the inputs: features are the best evidence, then `probs`, then `zero_shot`."""
    if evidence.features is not None:
        result = with_signal_note(leave_one_out_or_transition(evidence), evidence)
        others = [f"`{name}`" for name in ("probs", "zero_shot") if getattr(evidence, name) is not None]
        return result.with_note(f"Features were used; {' and '.join(others)} were not.") if others else result
    name, method = (
        ("probs", "confident_learning") if evidence.probs is not None else ("zero_shot", "zero_shot")
    )
    return run_detector(evidence, method).with_note(f"Method {method!r}, because only `{name}` was given.")
