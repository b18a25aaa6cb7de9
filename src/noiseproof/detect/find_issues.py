"""Find wrong labels: one call and one schema for every detector."""

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
    """Which labels are probably wrong, and what they should be.

    Args:
        features: (n, d) of any frozen encoder; array-like, memory-mapped or not; `None` where the detector
            looks at probabilities only.
        given_labels: (n,) labels of any type, or class ids where `class_names` are given.
        method: a name of `noiseproof ls detectors`. "auto" chooses by what is at hand and says why in the
            notes: with features leave-one-out, with or without a transition matrix; else confident learning
            on `probs`; else the label match of `zero_shot`.
        method_options: of the detector, e.g. {"k": 20} for "neighbours".
        probs: (n, k) probabilities of your own model, each of an example whose label it did not see; columns
            in the order of the sorted labels, or of `class_names`; those of a data frame may have names.
        zero_shot: (n, k) probabilities of an image-text model, columns likewise.
        text_tower: of the image-text model whose features these are, see `backbones.text_towers`; for
            "prompts" and "zero_shot".
        ids: (n,) example ids; row numbers by default.
        class_names: k names; also says how many classes there are.
        seed: of detectors that draw random numbers; leave-one-out draws none.

    Returns:
        A record whose labels are in the vocabulary of `given_labels`.

    Raises:
        BadData: lengths differ, one class only, NaN or infinity (the row is named), a label that is missing
            or no class, ids that repeat, probabilities that do not sum to 1.
        UnknownName: no such method or option of it.
        InvalidArgument: what the method needs is missing, an option is out of range.
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
    opinion = _chosen(evidence) if is_auto else run_detector(evidence, method, method_options)
    rows = np.arange(len(labels)) if ids is None else np.asarray(ids)
    return to_label_issues(opinion, encoded, classes=classes, ids=rows, class_names=tuple(class_names))


def _is_numpy(value: Any) -> bool:
    """Whether it is an array as it is, perhaps on disk; tensors and lists are not."""
    return isinstance(getattr(value, "dtype", None), np.dtype)


def to_label_issues(
    opinion: DetectorResult,
    given_labels: Int[np.ndarray, " n"],
    *,
    classes: np.ndarray,
    ids: np.ndarray,
    class_names: tuple[str, ...],
) -> LabelIssues:
    """What a detector says, in the words of the user.

    Args:
        opinion: in class ids.
        given_labels: class ids.
        classes: the label that each id stands for.
        ids: of the examples.
        class_names: see `LabelIssues`.
    """
    return LabelIssues(
        ids=ids,
        given_labels=classes[given_labels],
        suggested_labels=classes[opinion.suggested_labels],
        suspicion=opinion.suspicion,
        is_issue=opinion.is_issue,
        method=opinion.method,
        joint=opinion.joint,
        classes=classes,
        probs=opinion.probs,
        class_names=class_names,
        notes=opinion.notes,
    )


def check_method(method: str, options: Mapping[str, Any] | None = None) -> None:
    """Raise unless there is such a method with such options; nothing is computed.

    Raises:
        UnknownName, InvalidArgument: see `find_label_issues`.
    """
    if method not in (AUTO, *DETECTORS.names):
        raise unknown_name("detector", method, (AUTO, *DETECTORS.names))
    if method == AUTO and options:
        raise invalid("method_options", dict(options), "none with method 'auto'", "Name a method.")
    if method != AUTO:
        checked_options(method, options or {})


def _chosen(evidence: Evidence) -> DetectorResult:
    """What there is decides: features tell most, then probabilities of a model that saw labels, then none."""
    if evidence.features is not None:
        opinion = leave_one_out_or_transition(evidence)
        others = [name for name in ("probs", "zero_shot") if getattr(evidence, name) is not None]
        said = " and ".join(f"`{name}`" for name in others)
        return opinion.with_note(f"There are features, so {said} took no part.") if others else opinion
    method = "confident_learning" if evidence.probs is not None else "zero_shot"
    has = "`probs`" if evidence.probs is not None else "`zero_shot`"
    return run_detector(evidence, method).with_note(f"Method {method!r}, because there is {has} only.")
