"""What further encoders changed about the suspect labels, for readers of the results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from noiseproof.core.records import LabelIssues
from noiseproof.features.store import StoredFeatures


def with_comparison(
    issues: LabelIssues, parts: Sequence[StoredFeatures], find: Callable[[Any], LabelIssues]
) -> LabelIssues:
    """The issues with a note that compares them with those of the first encoder alone.

    Args:
        issues: found on the features of all encoders side by side.
        parts: features of each encoder; empty or one where there is nothing to compare.
        find: runs the same detector on other features of the same examples.
    """
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
