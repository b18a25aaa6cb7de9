"""Suspect labels as tables for people."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from noiseproof.core.records import LabelIssues
from noiseproof.report.tables import Cell, Table

MAX_CLASSES = 20
NUM_SUSPECTS = 10
MAX_CHARACTERS = 60  # of a text in the table


def class_table(classes: Sequence[Mapping[str, Any]], *, estimates_rate: bool) -> Table:
    """A row per given label, those with the most wrong labels first.

    Args:
        classes: rows of `LabelIssues.class_table`.
        estimates_rate: whether the detector estimates the noise rate, or only flags labels.
    """
    ranked = sorted(classes, key=lambda entry: -entry["noise_rate"] * entry["num_examples"])
    rows = [
        (
            Cell(str(entry["given_label"])),
            Cell(entry["mostly_is"]),
            Cell(str(entry["num_examples"])),
            Cell(str(entry["num_issues"])),
            Cell(f"{100 * entry['noise_rate']:.1f} %"),
        )
        for entry in ranked[:MAX_CLASSES]
    ]
    more = len(ranked) - len(rows)
    notes = (f"{more} classes with fewer wrong labels are in label_issues.json.",) if more else ()
    rate = "estimated wrong" if estimates_rate else "flagged share"
    columns = ("given label", "wrong ones are mostly", "examples", "flagged", rate)
    return Table("Labels by class", columns, tuple(rows), notes, num_text_columns=2)


def suspects_table(issues: LabelIssues, num: int = NUM_SUSPECTS, texts: Mapping[str, str] = {}) -> Table:
    """The labels with the highest suspicion.

    Args:
        issues: of all labels.
        num: of rows.
        texts: example id -> text, where examples are texts.
    """
    worst = np.argsort(-issues.suspicion, kind="stable")[:num]
    rows = [
        (
            Cell(str(example_id)),
            *([Cell(_shortened(texts.get(str(example_id), "")))] if texts else []),
            Cell(str(given)),
            Cell(str(suggested)),
            Cell(f"{suspicion:.3f}"),
        )
        for example_id, given, suggested, suspicion in zip(
            issues.ids[worst],
            issues.named(issues.given_labels[worst]),
            issues.named(issues.suggested_labels[worst]),
            issues.suspicion[worst],
            strict=True,
        )
    ]
    columns = ("example", *(["text"] if texts else []), "given label", "suggested label", "suspicion")
    return Table("Most suspicious labels", columns, tuple(rows), num_text_columns=len(columns) - 1)


def _shortened(text: str) -> str:
    """The first words of a text, in one line."""
    return textwrap.shorten(text, MAX_CHARACTERS, placeholder=" ...") or text[:MAX_CHARACTERS]
