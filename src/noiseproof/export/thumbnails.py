"""Small pictures of the most suspicious examples, so that the report needs no data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from noiseproof.core.records import Dataset, LabelIssues
from noiseproof.core.storage.checksums import read_record, write_record
from noiseproof.core.storage.files import replacing
from noiseproof.data.examples import shown_text

NUM_THUMBNAILS = 48
NUM_PAIRS, NUM_OF_PAIR = 12, 4  # pairs of given and suggested class; examples of each
MAX_SIDE_PX = 160
MAX_TEXT = 400


def write_thumbnails(issues: LabelIssues, dataset: Dataset, folder: Path) -> list[str]:
    """Write `thumbnails.json` and, for images, a PNG per example; only examples that are shown are decoded.

    Returns:
        The files written, relative to the folder.
    """
    entries: list[dict[str, Any]] = []
    files = []
    for number, row in enumerate(_rows(issues)):
        entry = _entry(issues, row)
        if dataset.kind == "text":
            entry["text"] = shown_text(dataset.examples[row])[:MAX_TEXT]
        elif dataset.kind == "image":
            entry["file"] = f"thumbnails/{number:05d}.png"
            files.append(entry["file"])
            _write_png(dataset.examples[row], folder / entry["file"])
        entries.append(entry)
    write_record(folder / "thumbnails.json", entries)
    return [*files, "thumbnails.json"]


def _rows(issues: LabelIssues) -> list[int]:
    """The most suspicious examples, then further ones of the most frequent pairs of classes."""
    ranked = np.argsort(-issues.suspicion, kind="stable")
    of_pair: dict[tuple[str, str], list[int]] = {}
    for row in ranked[issues.is_issue[ranked]].tolist():
        of_pair.setdefault(_pair(issues, row), []).append(row)
    frequent = sorted(of_pair.items(), key=lambda item: (-len(item[1]), item[0]))[:NUM_PAIRS]
    first = ranked[:NUM_THUMBNAILS].tolist()
    more = {row for _, rows in frequent for row in rows[:NUM_OF_PAIR]} - set(first)
    return first + [row for row in ranked.tolist() if row in more]


def read_texts(folder: Path) -> dict[str, str]:
    """Example id -> text, of the most suspicious examples of a folder; empty where they are no texts."""
    file = folder / "thumbnails.json"
    entries = read_record(file, next_step="start the same command again") if file.is_file() else []
    return {entry["example_id"]: entry["text"] for entry in entries if "text" in entry}


def _pair(issues: LabelIssues, row: int) -> tuple[str, str]:
    """Given and suggested class of a row."""
    given, suggested = issues.named(np.array([issues.given_labels[row], issues.suggested_labels[row]]))
    return str(given), str(suggested)


def _entry(issues: LabelIssues, row: int) -> dict[str, Any]:
    given, suggested = _pair(issues, row)
    return {
        "example_id": str(issues.ids[row]),
        "given_label": given,
        "suggested_label": suggested,
        "suspicion": float(issues.suspicion[row]),
        "is_issue": bool(issues.is_issue[row]),
    }


def _write_png(image: Any, path: Path) -> None:
    from PIL import Image

    small = image.convert("RGB")
    if max(small.size) < MAX_SIDE_PX // 2:  # a browser would blur an 8 px digit
        scale = MAX_SIDE_PX // max(small.size)
        small = small.resize((small.width * scale, small.height * scale), Image.Resampling.NEAREST)
    small.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
    with replacing(path) as partial:
        small.save(partial, format="PNG")
