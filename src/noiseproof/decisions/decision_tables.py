"""Answers in tables: `decisions.csv`, forms in a spreadsheet, and exports of other tools as CSV.

A table in which every label stands whether somebody looked at it or not (an edited `label_issues.csv`,
cleanlab, FiftyOne) says only what was changed: labels that are as before are not counted as confirmed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from noiseproof.core.class_names import label_text
from noiseproof.core.errors import BadData
from noiseproof.decisions.record import ABOUT, WORDS, Answer, ReviewedExamples

Row = dict[str, Any]
_CORRECTED = ("corrected_label", "new_label", "label")
_OF_LABEL_STUDIO = {"annotation_id", "annotator", "lead_time"}
# Names that people give to the columns of decisions.
_ALIKE = {
    "example_id": (
        "example_id", "id", "example", "path", "filepath", "file", "filename", "file_name", "image",
    ),
    "decision": ("decision", "decisions", "answer", "verdict"),
}  # fmt: skip
_LABELS_OF_LABEL_STUDIO = ("label", "choice", "choices", "class", "category")


def answers_in_table(rows: Sequence[Row], examples: ReviewedExamples, owner: str) -> list[Answer]:
    """The answers in a table of a known form.

    Raises:
        BadData: the form is not known, or rows without ids are not in the order of the data.
    """
    names = set(rows[0]) if rows else set()
    read = next((read for fits, read in _FORMS if fits(names)), None)
    if read is None:
        columns = f"the columns {', '.join(map(str, rows[0]))}" if rows else "no rows"
        raise BadData(
            f"{owner!r} has {columns}; allowed: "
            "example_id and decision (and label, who, when), label_issues.csv with changes, or an export of "
            f"Label Studio, FiftyOne, cleanlab or Argilla. Next: {_missing_columns(rows)}."
        )
    return list(read(rows, examples, owner))


def _missing_columns(rows: Sequence[Row]) -> str:
    """What to do about the columns of a table that is no file of decisions."""
    if not rows:
        return "decide about examples and save that file, or name another one"
    contents = {"example_id": "with the ids of label_issues.csv", "decision": f"of {', '.join(WORDS)}"}
    steps = []
    for name, cells in contents.items():
        alike = next((each for each in rows[0] if _plain_name(each) in _ALIKE[name]), None)
        if name not in rows[0]:
            step = f"add a column `{name}` {cells}"
            steps.append(step if alike is None else f"call the column {str(alike)!r} `{name}`")
    return " and ".join(steps)


def _plain_name(column: Any) -> str:
    return re.sub(r"[\s\-]+", "_", str(column).strip().lower())


def _of_decisions(rows: Sequence[Row], examples: ReviewedExamples, owner: str) -> Iterator[Answer]:
    """Columns of `decisions.csv`; more columns may stand beside them."""
    for number, row in enumerate(rows, start=2):
        texts = {name: _text(row.get(name)) for name in ("decision", "label", "who", "when", *ABOUT)}
        if texts["decision"].strip().lower() == "accept" and not texts["label"].strip():
            texts["label"] = _text(row.get("suggested_label"))  # of a form, as the person saw it
        yield Answer(_text(row["example_id"]), **texts, place=f"Line {number}")


def _of_edited_issues(rows: Sequence[Row], examples: ReviewedExamples, owner: str) -> Iterator[Answer]:
    """Table of all labels, ours or of cleanlab, with a column of labels added or with cells changed.

    A changed given or suggested label is the right one; a flag taken away keeps the given label, a flag put
    in accepts the suggestion.
    """
    if not examples.suggested:
        raise BadData(
            f"{owner!r} is an edited table of suggestions, which only the folder that made them can compare; "
            "allowed: decisions. Next: give it to 'noiseproof apply' with that folder, which leaves "
            "decisions.csv."
        )
    corrected = next((name for name in _CORRECTED if rows and name in rows[0]), None)
    for number, (row, place) in enumerate(zip(rows, _places(rows, examples, owner), strict=True), start=2):
        label, word = _text(row.get(corrected)) if corrected else "", ""
        action = _text(row.get("action")).lower()
        if action in WORDS:
            word, label = action, "" if action in ("exclude", "unsure") else label
        elif place is not None and not label:
            word, label = _change(row, place, examples)
        who, when = _text(row.get("who")), _text(row.get("when"))
        example = _text(row.get("example_id")) if place is None else examples.ids[place]
        yield Answer(example, word, label, who, when, f"Line {number}")


def _places(rows: Sequence[Row], examples: ReviewedExamples, owner: str) -> Iterator[int | None]:
    """Row of each example: by its id, else by the order, which given labels must confirm."""
    key = next((name for name in ("example_id", "id") if rows and name in rows[0]), None)
    if key is not None:
        yield from (examples.find(_text(row[key])) for row in rows)
        return
    given = [_class(row, "given_label", examples) or _text(row.get("label")) for row in rows]
    first = next(
        (k for k, (one, is_) in enumerate(zip(given, examples.given, strict=False)) if one != is_), None
    )
    if len(rows) != len(examples) or first is not None:
        reason = (
            f"{len(rows)} rows for {len(examples)} examples"
            if len(rows) != len(examples)
            else (f"row {first} is given as {given[first or 0]!r}, not {examples.given[first or 0]!r}")
        )
        raise BadData(
            f"{owner!r} has no column `example_id`, and its rows are not in the order of the data: {reason}. "
            "Allowed: a column `example_id`, or a row for each example in order, with its given label. Next: "
            "export it with the ids."
        )
    yield from range(len(rows))


def _change(row: Row, place: int, examples: ReviewedExamples) -> tuple[str, str]:
    """Decision and label by what was changed in a row of all labels; empty where nothing was."""
    given, suggested = _class(row, "given_label", examples), _class(row, "suggested_label", examples)
    suggested = suggested or _class(row, "predicted_label", examples)
    if given and given != examples.given[place]:
        return "", given
    if suggested and suggested != examples.suggested[place]:
        return "", suggested
    flag = _text(row.get("is_issue", row.get("is_label_issue"))).lower()
    if flag in ("true", "false", "1", "0") and (flag in ("true", "1")) != examples.is_issue[place]:
        return ("accept" if flag in ("true", "1") else "keep"), ""
    return "", ""


def _class(row: Row, column: str, examples: ReviewedExamples) -> str:
    """Name of the class in a cell, which cleanlab writes as a number."""
    text = _text(row.get(column))
    if "is_label_issue" in row and re.fullmatch(r"\d+", text) and int(text) < len(examples.classes):
        return examples.classes[int(text)]
    return examples.class_of(text) or text


def _of_label_studio(rows: Sequence[Row], examples: ReviewedExamples, owner: str) -> Iterator[Answer]:
    """JSON_MIN and CSV of Label Studio: a row per annotation, with the keys of its task."""
    column = next((name for name in _LABELS_OF_LABEL_STUDIO if rows and name in rows[0]), None)
    if column is None:
        raise BadData(
            f"{owner!r} has no column {' or '.join(_LABELS_OF_LABEL_STUDIO)}; allowed: one of these. Next: "
            "name the Choices `label` in the labelling configuration, as ours does."
        )
    for number, row in enumerate(rows, start=1):
        label = one_choice(row.get(column), f"annotation {number} of {owner!r}")
        when = _text(row.get("updated_at") or row.get("created_at"))
        who = _text(row.get("annotator"))
        yield Answer(example_of(row, owner), "", label, who, when, f"Annotation {number}")


def _of_fiftyone(rows: Sequence[Row], examples: ReviewedExamples, owner: str) -> Iterator[Answer]:
    """CSV of FiftyOne: paths, and a label of each example; tags may be words of decisions."""
    column = next(name for name in rows[0] if name == "label" or name.endswith(".label"))
    for number, row in enumerate(rows, start=2):
        tags = re.findall(r"[\w-]+", _text(row.get("tags")))
        yield changed_or_tagged(_text(row["filepath"]), _text(row[column]), tags, examples, f"Line {number}")


def _of_argilla(rows: Sequence[Row], examples: ReviewedExamples, owner: str) -> Iterator[Answer]:
    """Flat records of Argilla: lists of responses, users and states of one question."""
    questions = [name.removesuffix(".responses") for name in rows[0] if name.endswith(".responses")]
    question = "label" if "label" in questions else questions[0]
    if len(questions) > 1 and question != "label":
        raise BadData(
            f"{owner!r} has the questions {', '.join(questions)}; allowed: one, or one called label. Next: "
            "export that question only."
        )
    for number, row in enumerate(rows, start=1):
        answers, users, states = (
            _as_list(row.get(f"{question}.responses{end}")) for end in ("", ".users", ".status")
        )
        for k, answer in enumerate(answers):
            if _at(states, k) in ("", "submitted"):  # neither drafts nor discarded ones
                label = one_choice(answer, f"record {number} of {owner!r}")
                yield Answer(example_of(row, owner, "id"), "", label, _at(users, k), "", f"Record {number}")


def changed_or_tagged(
    example: str, label: str, tags: Sequence[str], examples: ReviewedExamples, place: str
) -> Answer:
    """The answer of an example whose label stands in the file whether it was checked or not."""
    word = next((tag.lower() for tag in tags if tag.lower() in WORDS), "")
    row = examples.find(example)
    is_changed = row is None or (examples.class_of(label) or label) != examples.given[row]
    return Answer(example, word, label if is_changed or word == "keep" else "", place=place)


def example_of(row: Row, owner: str, *more: str) -> str:
    """Id of the example of a row of another tool: its `example_id`, else what its picture's path ends in."""
    for name in ("example_id", "metadata.example_id", "image", *more):
        text = _text(row.get(name))
        if text:
            return _unquoted(text) if name == "image" else text
    raise BadData(
        f"A row of {owner!r} does not say which example it is of; allowed: `example_id` in its data. Next: "
        "export the tasks by 'noiseproof detect --export', which puts it in."
    )


def one_choice(value: Any, where: str) -> str:
    """The one class of an annotation; empty if none was chosen.

    Raises:
        BadData: several classes were chosen.
    """
    if isinstance(value, str) and value.strip().startswith("{"):
        found = re.findall(r'"((?:[^"\\]|\\.)*)"', value.partition("[")[2])
        value = {"choices": found}
    choices = value.get("choices", []) if isinstance(value, dict) else value
    choices = choices if isinstance(choices, list) else [choices]
    if len(choices) > 1:
        raise BadData(
            f"The {where} has {len(choices)} classes ({', '.join(map(_text, choices[:5]))}); allowed: one "
            'class per example. Next: let people choose one (choice="single").'
        )
    return _text(choices[0]) if choices else ""


def _unquoted(path: str) -> str:
    """The path in an address of Label Studio's local files."""
    from urllib.parse import unquote

    return unquote(path.partition("?d=")[2] or path)


def _as_list(cell: Any) -> list[Any]:
    if isinstance(cell, str) and cell.startswith("["):
        return [text.strip(" '\"") for text in cell.strip("[]").split(",") if text.strip()]
    return cell if isinstance(cell, list) else [] if _text(cell) == "" else [cell]


def _at(values: Sequence[Any], place: int) -> str:
    return _text(values[place]) if place < len(values) else ""


def _text(cell: Any) -> str:
    """A cell as text; empty for null and NaN."""
    return "" if cell is None or cell != cell else label_text(cell)


_Read = Callable[[Sequence[Row], ReviewedExamples, str], Iterator[Answer]]
_FORMS: tuple[tuple[Callable[[set[str]], bool], _Read], ...] = (
    (lambda names: names >= {"example_id", "decision"}, _of_decisions),
    (lambda names: bool(names & {"is_issue", "is_label_issue", "corrected_label"}), _of_edited_issues),
    (lambda names: names >= _OF_LABEL_STUDIO, _of_label_studio),
    (lambda names: any(name.endswith(".responses") for name in names), _of_argilla),
    (
        lambda names: "filepath" in names and any(re.search(r"(^|\.)label$", name) for name in names),
        _of_fiftyone,
    ),
)
