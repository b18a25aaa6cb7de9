"""Suspect labels as files that other programs read: JSON, and the table of cleanlab."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from noiseproof.core.records import LabelIssues
from noiseproof.core.storage.files import replacing, write_bytes
from noiseproof.export.issue_files import issues_frame, ranking, summarise
from noiseproof.export.source import Source

if TYPE_CHECKING:
    import pandas as pd


def write_json(issues: LabelIssues, path: Path, source: Source | None, home: Path) -> list[Path]:
    """`summary`, and `issues`: a record per example, the most suspicious first."""
    clean = None if source is None else source.clean_labels(issues)
    ranked = issues_frame(issues, clean).iloc[ranking(issues)]
    records = json.loads(ranked.to_json(orient="records", double_precision=15))
    document = {"summary": summarise(issues, clean).to_json(), "issues": records}
    write_bytes(path, (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())
    return [path]


def cleanlab_frame(issues: LabelIssues) -> pd.DataFrame:
    """A row per example in the order of the data.

    Columns as `cleanlab.classification.CleanLearning.get_label_issues` has them: is_label_issue,
    label_quality (1 - suspicion), given_label and predicted_label (class ids in the order of the sorted
    labels, or of the class names); then example_id, given_name and predicted_name.
    """
    import pandas as pd

    given, suggested = (
        np.searchsorted(issues.classes, labels) for labels in (issues.given_labels, issues.suggested_labels)
    )
    shown = issues.to_frame()
    return pd.DataFrame(
        {
            "is_label_issue": issues.is_issue,
            "label_quality": 1 - issues.suspicion,
            "given_label": given,
            "predicted_label": suggested,
            "example_id": issues.ids,
            "given_name": shown["given_label"],
            "predicted_name": shown["suggested_label"],
        }
    )


def write_cleanlab(issues: LabelIssues, path: Path, source: Source | None, home: Path) -> list[Path]:
    """`cleanlab_frame` as CSV, or as Parquet where the name ends so."""
    with replacing(path) as partial:
        if path.suffix.lower() == ".parquet":
            cleanlab_frame(issues).to_parquet(partial, index=False)
        else:
            cleanlab_frame(issues).to_csv(partial, index=False, lineterminator="\n")
    return [path]
