"""Suspect labels for review by people, in FiftyOne and Label Studio.

Both are written from their documentation: FiftyOneImageClassificationDataset (with a manifest of the media
files), and the JSON tasks with predictions of Label Studio. Neither program has to be installed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from noiseproof.core.errors import invalid
from noiseproof.core.records import LabelIssues
from noiseproof.core.storage.files import write_bytes, write_json
from noiseproof.data.examples import shown_text
from noiseproof.export.issue_files import ranking
from noiseproof.export.source import Source, require_source

if TYPE_CHECKING:
    import pandas as pd

_LOCAL_FILES = "/data/local-files/?d="


def write_fiftyone(issues: LabelIssues, path: Path, source: Source | None, home: Path) -> list[Path]:
    """A folder with `labels.json` and `data.json`, where the images lie: both are keyed by row number.

    The label is the given one, its confidence 1 - suspicion; the rest are attributes.

    Raises:
        InvalidArgument: the images are no files.
    """
    files = _files(issues, source, "fiftyone")
    shown = issues.to_frame().astype({"given_label": str, "suggested_label": str})
    classes = [str(name) for name in issues.named(issues.classes)]
    number = {name: k for k, name in enumerate(classes)}
    labels: dict[str, Any] = {}
    for row, entry in enumerate(_records(shown)):
        labels[_key(row)] = {
            "label": number[entry["given_label"]],
            "confidence": 1 - entry["suspicion"],
            "attributes": {
                "suspicion": entry["suspicion"],
                "is_issue": entry["is_issue"],
                "suggested_label": entry["suggested_label"],
                "example_id": str(entry["example_id"]),
            },
        }
    written = [path / "data.json", path / "labels.json"]
    write_json(written[0], {_key(row): str(file.resolve()) for row, file in enumerate(files)})
    write_json(written[1], {"classes": classes, "labels": labels})
    return written


def write_label_studio(issues: LabelIssues, path: Path, source: Source | None, home: Path) -> list[Path]:
    """Tasks, the most suspicious first, and beside them the labelling configuration (.xml).

    Each task predicts the suggested label; the score of the prediction is the suspicion, so tasks can be
    sorted by it. Images are served by Label Studio from the folder that the configuration names.

    Raises:
        InvalidArgument: neither image files nor texts.
    """
    shown = issues.to_frame().astype({"given_label": str, "suggested_label": str})
    shown["example_id"] = shown["example_id"].astype(str)
    kind, contents, root = _contents(issues, source)
    order = ranking(issues)
    tasks = [
        {"data": {kind: contents[row]} | entry, "predictions": [_prediction(entry, kind, issues.method)]}
        for row, entry in zip(order.tolist(), _records(shown.iloc[order]), strict=True)
    ]
    write_json(path, tasks)
    configuration = path.with_suffix(".xml")
    classes = [str(name) for name in issues.named(issues.classes)]
    write_bytes(configuration, _configuration(kind, classes, root).encode())
    return [path, configuration]


def check_reviewable(source: Source, export: str) -> None:
    """Raise `InvalidArgument` unless the examples are image files, or texts for Label Studio."""
    allowed = {"fiftyone": "image files", "label-studio": "image files or texts"}[export]
    has_texts = source.dataset.kind == "text" and export == "label-studio"
    if not (has_texts or source.has_files):
        raise invalid(
            "export", export, f"this format for {allowed}",
            f"{source.request.name!r} has none. Next: save the images as files in class folders, or take "
            "json or cleanlab.",
        )  # fmt: skip


def _files(issues: LabelIssues, source: Source | None, export: str) -> list[Path]:
    known = require_source(source, export)
    check_reviewable(known, export)
    files = known.files(issues)
    assert files is not None  # checked above
    return files


def _contents(issues: LabelIssues, source: Source | None) -> tuple[str, list[str], Path | None]:
    """Kind of the content to review, the content of each example, and the folder that serves images."""
    known = require_source(source, "label-studio")
    if known.dataset.kind == "text":
        return "text", [shown_text(known.dataset.examples[int(row)]) for row in known.rows_of(issues)], None
    files = [file.resolve() for file in _files(issues, source, "label-studio")]
    # Label Studio wants the folder it serves to lie above that of the images.
    root = Path(os.path.commonpath([file.parent for file in files])).parent
    return "image", [_LOCAL_FILES + quote(file.relative_to(root).as_posix()) for file in files], root


def _prediction(entry: dict[str, Any], kind: str, method: str) -> dict[str, Any]:
    choice = {"choices": [entry["suggested_label"]]}
    result = {"from_name": "label", "to_name": kind, "type": "choices", "value": choice}
    return {"model_version": f"noiseproof {method}", "score": entry["suspicion"], "result": [result]}


def _configuration(kind: str, classes: Sequence[str], root: Path | None) -> str:
    shown = {"image": "Image", "text": "Text"}[kind]
    choices = "".join(f"    <Choice value={quoteattr(name)}/>\n" for name in classes)
    served = "" if root is None else f"  <Header value={quoteattr(f'Images are served from {root}')}/>\n"
    return (
        f'<View>\n{served}  <{shown} name="{kind}" value="${kind}"/>\n'
        f'  <Choices name="label" toName="{kind}" choice="single">\n{choices}  </Choices>\n</View>\n'
    )


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {str(name): value for name, value in entry.items()}
        | {"suspicion": float(entry["suspicion"]), "is_issue": bool(entry["is_issue"])}
        for entry in frame.to_dict("records")
    ]


def _key(row: int) -> str:
    """Ids may hold slashes and dots, which FiftyOne would take for folders and file name endings."""
    return f"{row:08d}"
