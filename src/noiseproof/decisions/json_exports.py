"""Answers in JSON of Label Studio, FiftyOne, Argilla and our own exports."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from noiseproof.core.errors import BadData
from noiseproof.decisions.decision_tables import answers_in_table, changed_or_tagged, example_of, one_choice
from noiseproof.decisions.record import Answer, ReviewedExamples

_ROW_NUMBER = re.compile(r"\d{8}")  # keys of `--export fiftyone`


def answers_in_json(value: Any, examples: ReviewedExamples, owner: str) -> list[Answer]:
    """The answers in a parsed JSON document of a known form.

    Raises:
        BadData: the form is not known, or a part of it is of another type.
    """
    try:
        return list(_answers(value, examples, owner))
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise BadData(
            f"{owner!r} is not what its keys say it is ({type(error).__name__}: {error}); allowed: an export "
            "as the tool wrote it. Next: export it again."
        ) from error


def _answers(value: Any, examples: ReviewedExamples, owner: str) -> Iterator[Answer]:
    if isinstance(value, Mapping) and "labels" in value:
        yield from _of_fiftyone_labels(value, examples, owner)
    elif isinstance(value, Mapping) and "samples" in value:
        yield from _of_fiftyone_samples(value["samples"], examples)
    elif isinstance(value, Mapping) and "issues" in value:
        yield from answers_in_table(_rows(value["issues"], owner), examples, owner)
    elif isinstance(value, list) and value and isinstance(value[0], Mapping) and "data" in value[0]:
        yield from _of_label_studio(_rows(value, owner), owner)
    else:
        yield from answers_in_table(_rows(value, owner), examples, owner)


def _rows(value: Any, owner: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise BadData(
            f"{owner!r} holds a {type(value).__name__} that is no list of objects; allowed: an export of "
            "Label Studio, FiftyOne or Argilla, or our issues.json. Next: export it again."
        )
    return value


def _of_label_studio(tasks: Sequence[Mapping[str, Any]], owner: str) -> Iterator[Answer]:
    """Tasks with annotations; predictions and cancelled annotations are nobody's decision."""
    for number, task in enumerate(tasks, start=1):
        for annotation in task.get("annotations") or ():
            if annotation.get("was_cancelled"):
                continue
            where = f"task {number} of {owner!r}"
            chosen = [
                each["value"]["choices"] for each in annotation["result"] if each.get("type") == "choices"
            ]
            label = one_choice([name for names in chosen for name in names], where)
            who = annotation.get("completed_by", "")
            who = who.get("email", who.get("id", "")) if isinstance(who, Mapping) else who
            when = annotation.get("updated_at") or annotation.get("created_at") or ""
            example = example_of(dict(task["data"]), owner)
            yield Answer(example, "", label, str(who), str(when), f"Task {number}")


def _of_fiftyone_labels(value: Mapping[str, Any], examples: ReviewedExamples, owner: str) -> Iterator[Answer]:
    """`labels.json`: key -> label, its number, or an object with attributes, in which ours have the id."""
    classes = value.get("classes") or []
    keys = list(value["labels"])
    are_rows = bool(keys) and all(map(_ROW_NUMBER.fullmatch, keys))
    for key, entry in value["labels"].items():
        attributes = entry.get("attributes") or {} if isinstance(entry, Mapping) else {}
        label = entry["label"] if isinstance(entry, Mapping) else entry
        if isinstance(label, int) and not isinstance(label, bool):
            if not 0 <= label < len(classes):
                raise BadData(
                    f"{owner!r} has the label {label} for {key!r}, and {len(classes)} classes; allowed: "
                    "their numbers from 0. Next: export it again."
                )
            label = classes[label]
        example = attributes.get("example_id", key)
        if are_rows and "example_id" not in attributes and int(key) < len(examples):
            example = examples.ids[int(key)]
        yield changed_or_tagged(str(example), str(label or ""), (), examples, f"Key {key!r}")


def _of_fiftyone_samples(
    samples: Sequence[Mapping[str, Any]], examples: ReviewedExamples
) -> Iterator[Answer]:
    """`samples.json`: the classification of each sample, with its tags and those of the sample."""
    for number, sample in enumerate(samples, start=1):
        fields = [each for each in (sample.get("ground_truth"), *sample.values()) if _is_classification(each)]
        found: Mapping[str, Any] = fields[0] if fields else {}
        tags = [*(sample.get("tags") or ()), *(found.get("tags") or ())]
        example = found.get("example_id") or sample.get("example_id") or sample["filepath"]
        label = str(found.get("label") or "")
        yield changed_or_tagged(str(example), label, tags, examples, f"Sample {number}")


def _is_classification(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("_cls") == "Classification"
