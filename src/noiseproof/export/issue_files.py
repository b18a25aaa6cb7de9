"""`label_issues.parquet`, a row per example, and `label_issues.json`, what a detector found in all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from noiseproof.core.errors import MissingFile
from noiseproof.core.files import replacing, write_json
from noiseproof.core.records import LabelIssues
from noiseproof.evaluate.detection import detection_metrics

ISSUES, FOUND = "label_issues.parquet", "label_issues.json"


def issues_frame(issues: LabelIssues, clean_labels: Int[np.ndarray, " n"] | None = None) -> pd.DataFrame:
    """`LabelIssues.to_frame`, with the column clean_label where the truth is known."""
    frame = issues.to_frame()
    if clean_labels is not None:
        names = np.array(issues.class_names, dtype=object) if issues.class_names else None
        frame["clean_label"] = clean_labels if names is None else names[clean_labels]
    return frame


def write_issues(
    issues: LabelIssues, folder: Path, *, clean_labels: Int[np.ndarray, " n"] | None = None
) -> list[str]:
    """Write both files; the JSON, written last, says that they are complete.

    Args:
        issues: of a detector.
        folder: that is there.
        clean_labels: the truth, where it is known.

    Returns:
        Names of the files.
    """
    with replacing(folder / ISSUES) as partial:
        issues_frame(issues, clean_labels).to_parquet(partial, index=False)
    write_json(folder / FOUND, summary(issues, clean_labels))
    return [ISSUES, FOUND]


def summary(issues: LabelIssues, clean_labels: Int[np.ndarray, " n"] | None = None) -> dict[str, Any]:
    """What a detector found in all, plain values.

    Keys: method, notes, num_examples, num_issues, noise_rate, classes (rows of `LabelIssues.class_table`),
    transition (k, k), true_counts (k, expected number of examples by true class: the rows of the transition
    matrix times these are the joint), and against_truth (`DetectionMetrics`), which is null where the truth
    is not known.
    """
    table = json.loads(issues.class_table().to_json(orient="records"))
    return {
        "method": issues.method,
        "notes": list(issues.notes),
        "num_examples": len(issues.suspicion),
        "num_issues": int(issues.is_issue.sum()),
        "noise_rate": issues.noise_rate,
        "classes": table,
        "transition": issues.transition.tolist(),
        "true_counts": issues.joint.sum(axis=1).tolist(),
        "against_truth": None if clean_labels is None else detection_metrics(issues, clean_labels).to_json(),
    }


def read_found(folder: Path) -> dict[str, Any]:
    """What `summary` said, from disk."""
    return json.loads((folder / FOUND).read_text(encoding="utf-8"))


def load_issues(folder: str | Path) -> LabelIssues:
    """What `noiseproof detect` or `noiseproof run` found, from the files in its folder.

    Labels are class ids with class names; class probabilities are not kept.

    Raises:
        MissingFile: the files are not there.
    """
    home = Path(folder)
    for name in (ISSUES, FOUND):
        if not (home / name).is_file():
            raise MissingFile(
                f"There is no {name} in {str(folder)!r}. Next: name a folder that 'noiseproof detect' wrote."
            )
    frame, found = pd.read_parquet(home / ISSUES), read_found(home)
    names = tuple(str(entry["given_label"]) for entry in found["classes"])
    number = {name: k for k, name in enumerate(names)}
    labels = {
        column: frame[column].map(lambda label: number[str(label)]).to_numpy(np.int64)
        for column in ("given_label", "suggested_label")
    }
    return LabelIssues(
        ids=frame["example_id"].to_numpy(),
        given_labels=labels["given_label"],
        suggested_labels=labels["suggested_label"],
        suspicion=frame["suspicion"].to_numpy(np.float64),
        is_issue=frame["is_issue"].to_numpy(bool),
        method=found["method"],
        joint=np.array(found["transition"]) * np.array(found["true_counts"])[:, None],
        classes=np.arange(len(names)),
        class_names=names,
        notes=tuple(found["notes"]),
    )
