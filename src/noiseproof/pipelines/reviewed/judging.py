"""Suspect labels beside those that people decided: the search of `detect` and `run`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from noiseproof.core.progress import progress
from noiseproof.core.records import LabelIssues
from noiseproof.detect.detectors import TABLE
from noiseproof.detect.known_labels import Draws, find_with_known_labels
from noiseproof.export.issue_files import write_issues
from noiseproof.export.thumbnails import write_thumbnails
from noiseproof.features.store import StoredFeatures
from noiseproof.pipelines.outputs.stages import Stages
from noiseproof.pipelines.reviewed.brought_decisions import write_brought
from noiseproof.pipelines.reviewed.known_decisions import KnownDecisions

SEARCH = "label issues"  # the stage


def judge_once(
    stages: Stages,
    find: Callable[[np.ndarray, Any], LabelIssues],
    known: KnownDecisions,
    stored: StoredFeatures | None,
    *,
    draws: Draws | None = None,
    raw_cells: bool,
    depends_on: list[Any],
) -> str:
    """Find suspect labels beside the decided ones, and write the files of `issue_files` and the thumbnails.

    Args:
        stages: of the flow.
        find: (labels, features) -> results of a detector.
        known: labels to judge, and decisions on them.
        stored: features of the examples; `None` where probabilities take their place.
        draws: the sample that decisions may be of.
        raw_cells: see `write_issues`.
        depends_on: everything that the results depend on.

    Returns:
        The key of the stage.
    """
    dataset, given = known.dataset, known.dataset.given_labels
    features, parts = (None, ()) if stored is None else (stored.features, stored.parts)

    def make(folder: Path) -> list[str]:
        with progress("Suspect labels", total=len(dataset), unit="label") as bar:
            judged = given if known.labels is None else known.labels.as_judged(given)
            plain = find(judged, features)
            issues, review = find_with_known_labels(
                lambda labels: plain if np.array_equal(labels, judged) else find(labels, features),
                given, known.labels, draws=draws, is_probability=TABLE[plain.method].estimates_rate,
            )  # fmt: skip
            trusted = given if known.labels is None else known.labels.in_place_of(given)
            issues = _with_comparison(issues, parts, lambda first: find(trusted, first))
            bar.update(len(dataset))
        brought = write_brought(folder, known.brought.decisions)
        written = write_issues(
            issues, folder, clean_labels=dataset.clean_labels, raw_cells=raw_cells,
            fingerprint=dataset.fingerprint, reviewed=None if review is None else review.to_json(),
        )  # fmt: skip
        return [*written, *brought, *write_thumbnails(issues, dataset, folder)]

    return stages.once(SEARCH, depends_on=depends_on, make=make)


def _with_comparison(
    issues: LabelIssues, parts: Sequence[StoredFeatures], find: Callable[[Any], LabelIssues]
) -> LabelIssues:
    """The issues with a note that compares them with those of the first of several encoders alone."""
    if len(parts) < 2:
        return issues
    first = find(parts[0].features)
    names = [part.manifest.components["backbone"] for part in parts]
    both = int((issues.is_issue & first.is_issue).sum())
    note = (
        f"Features of {', '.join(names)} stand side by side: {int(issues.is_issue.sum())} labels look wrong. "
        f"With {names[0]} alone {int(first.is_issue.sum())} do, and {both} are the same."
    )
    return replace(issues, notes=(*issues.notes, note))
