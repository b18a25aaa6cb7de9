"""Results of a detector on disk: `label_issues.parquet` and `.csv`, ranked, and `.json`, their summary."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Int
from pydantic import FiniteFloat

from noiseproof.core.errors import MissingFile
from noiseproof.core.records import LabelIssues
from noiseproof.core.storage.checksums import check_file, damaged, write_record
from noiseproof.core.storage.documents import START_AGAIN, Document, describe_problem, read_document
from noiseproof.core.storage.files import hash_file, replacing
from noiseproof.core.storage.parquet import read_table
from noiseproof.core.storage.spreadsheet_cells import escaped
from noiseproof.evaluate.detection import detection_metrics
from noiseproof.export.confusions import joint_from, list_confusions

if TYPE_CHECKING:
    import pandas as pd

ISSUES, SPREADSHEET, SUMMARY = "label_issues.parquet", "label_issues.csv", "label_issues.json"


class IssueSummary(Document):
    """Summary of the results of a detector, as in `label_issues.json`.

    Attributes:
        method: name of the detector.
        notes: sentences for readers of the results.
        num_examples: n.
        num_issues: labels that the detector flags.
        noise_rate: estimated share of wrong labels, in [0, 1].
        noise_rate_low, noise_rate_high: its plausible range; `None` if the detector has no range.
        classes: rows of `LabelIssues.class_table`.
        true_counts: expected number of examples by true class.
        right_counts: of these, with the right label.
        confusions: pairs of true and given class with the expected number of examples, the most frequent
            first, see `export.confusions`.
        against_truth: `DetectionMetrics` as JSON; `None` where the truth is not known.
        table_sha256: of `label_issues.parquet`; `None` in files of before.
        reviewed: what labels that people decided tell of the others, see `detect.known_labels.ReviewSummary`.
        data_fingerprint: of the examples, see `data.fingerprints`; `None` in files of before.
    """

    SCHEMA: ClassVar[int] = 2

    method: str
    notes: tuple[str, ...]
    num_examples: int
    num_issues: int
    noise_rate: float
    noise_rate_low: float | None = None
    noise_rate_high: float | None = None
    classes: tuple[dict[str, Any], ...]
    true_counts: list[FiniteFloat]
    right_counts: list[FiniteFloat]
    confusions: tuple[dict[str, Any], ...]
    against_truth: dict[str, Any] | None
    table_sha256: str | None = None
    data_fingerprint: str | None = None
    reviewed: dict[str, Any] | None = None

    def rate_card(self) -> dict[str, Any]:
        """The share of wrong labels with its range: by a drawn sample that people checked, else estimated."""
        found = {"rate": self.noise_rate, "low": self.noise_rate_low, "high": self.noise_rate_high}
        own: dict[str, Any] = found | {"num_examples": self.num_examples, "basis": "detector"}
        if self.reviewed is None or self.reviewed["basis"] != "sample":
            return own
        sampled = {"rate": self.reviewed["rate"]["value"]}
        sampled |= {name: self.reviewed["rate"][name] for name in ("low", "high")}
        return own | sampled | {"basis": "sample", "replaces": found}

    def to_json(self) -> dict[str, Any]:
        """Plain values, as in the file; `share_wrong` is for readers of the file only."""
        return super().to_json() | {"share_wrong": self.rate_card()}


def issues_frame(issues: LabelIssues, clean_labels: Int[np.ndarray, " n"] | None = None) -> pd.DataFrame:
    """`LabelIssues.to_frame`, with the column clean_label where the truth is known."""
    frame = issues.to_frame()
    if clean_labels is not None:
        names = np.array(issues.class_names, dtype=object) if issues.class_names else None
        frame["clean_label"] = clean_labels if names is None else names[clean_labels]
    return frame


def ranking(issues: LabelIssues) -> Int[np.ndarray, " n"]:
    """Rows by falling suspicion; ties keep their order."""
    return np.argsort(-issues.suspicion, kind="stable")


def write_issues(
    issues: LabelIssues,
    folder: Path,
    *,
    clean_labels: Int[np.ndarray, " n"] | None = None,
    raw_cells: bool = False,
    fingerprint: str | None = None,
    reviewed: dict[str, Any] | None = None,
) -> list[str]:
    """Write all files; the JSON is written last, so its existence means that they are complete.

    The table has the most suspicious labels first; its column `row` is the place in the data set. The CSV
    is for spreadsheets: a byte order mark tells them that it is UTF-8, suspicion has four digits, and texts
    that they would run are escaped. Every text is quoted, since a spreadsheet may split lines at semicolons.

    Args:
        issues: of a detector.
        folder: an existing one.
        clean_labels: the truth, where it is known.
        raw_cells: write the texts of the CSV as they are.
        fingerprint: of the examples.
        reviewed: what decided labels tell, plain values.

    Returns:
        Names of the files.
    """
    order = ranking(issues)
    ranked = issues_frame(issues, clean_labels).iloc[order]
    with replacing(folder / ISSUES) as partial:
        ranked.assign(row=order).to_parquet(partial, index=False)
    shown = ranked.assign(suspicion=ranked["suspicion"].round(4))
    if not raw_cells:
        for column in shown.columns.difference(["suspicion", "is_issue"]):
            shown[column] = shown[column].map(lambda cell: escaped(cell) if isinstance(cell, str) else cell)
    with replacing(folder / SPREADSHEET) as partial:
        shown.to_csv(
            partial, index=False, encoding="utf-8-sig", lineterminator="\r\n", quoting=csv.QUOTE_NONNUMERIC
        )
    own = {"table_sha256": hash_file(folder / ISSUES), "data_fingerprint": fingerprint, "reviewed": reviewed}
    write_record(folder / SUMMARY, summarise(issues, clean_labels).model_copy(update=own).to_json())
    return [ISSUES, SPREADSHEET, SUMMARY]


def summarise(issues: LabelIssues, clean_labels: Int[np.ndarray, " n"] | None = None) -> IssueSummary:
    """Summary of the results of a detector, with metrics where the truth is known."""
    truth = None if clean_labels is None else detection_metrics(issues, clean_labels).to_json()
    classes = json.loads(issues.class_table().to_json(orient="records"))
    return IssueSummary(
        method=issues.method,
        notes=issues.notes,
        num_examples=len(issues.suspicion),
        num_issues=int(issues.is_issue.sum()),
        noise_rate=issues.noise_rate,
        noise_rate_low=issues.noise_rate_low,
        noise_rate_high=issues.noise_rate_high,
        classes=tuple(classes),
        true_counts=issues.joint.sum(axis=1).tolist(),
        right_counts=np.diag(issues.joint).tolist(),
        confusions=tuple(list_confusions(issues.joint, _names(classes))),
        against_truth=truth,
    )


def _names(classes: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Names of the classes, from rows of `LabelIssues.class_table`."""
    return tuple(str(entry["given_label"]) for entry in classes)


def read_summary(folder: Path) -> IssueSummary:
    """The summary in a folder of `detect` or `run`.

    Raises:
        OtherSchema: another version of noiseproof wrote it.
        DamagedFile: it was changed.
    """
    return read_document(folder / SUMMARY, IssueSummary, next_step=START_AGAIN)


def load_issues(folder: str | Path) -> LabelIssues:
    """Load the suspect labels from a folder of `noiseproof detect` or `noiseproof run`.

    Labels are class ids with class names, in the order of the data set; class probabilities are not kept.

    Raises:
        MissingFile: a file does not exist.
        DamagedFile: a file was changed, or is of another version.
    """
    home = Path(folder)
    for name in (ISSUES, SUMMARY):
        if not (home / name).is_file():
            raise MissingFile(
                f"There is no {name} in {str(folder)!r}. Next: name a folder that 'noiseproof detect' wrote."
            )
    summary = read_summary(home)
    check_file(home / ISSUES, summary.table_sha256, next_step=START_AGAIN)
    # As lists: `to_numpy` loads pandas, which takes half a second.
    columns = read_table(home / ISSUES).to_pydict()
    try:
        return _issues(columns, summary)
    except (KeyError, ValueError, TypeError, IndexError, OverflowError) as error:
        reason = f"it does not fit {SUMMARY} ({describe_problem(error)})"
        raise damaged(str(home / ISSUES), reason, START_AGAIN) from error


def _issues(columns: dict[str, list[Any]], summary: IssueSummary) -> LabelIssues:
    """The record of the columns of the table and the summary beside it."""
    if "row" in columns:  # not in files of before
        order = np.argsort(columns["row"])
        columns = {name: [values[k] for k in order] for name, values in columns.items()}
    names = _names(summary.classes)
    number = {name: k for k, name in enumerate(names)}
    labels = {
        column: np.array([number[str(label)] for label in columns[column]], np.int64)
        for column in ("given_label", "suggested_label")
    }
    return LabelIssues(
        ids=np.array(columns["example_id"]),
        given_labels=labels["given_label"],
        suggested_labels=labels["suggested_label"],
        suspicion=np.array(columns["suspicion"], np.float64),
        is_issue=np.array(columns["is_issue"], bool),
        method=summary.method,
        joint=joint_from(
            summary.confusions, np.array(summary.true_counts), np.array(summary.right_counts), names
        ),
        classes=np.arange(len(names)),
        class_names=names,
        notes=summary.notes,
        noise_rate_low=summary.noise_rate_low,
        noise_rate_high=summary.noise_rate_high,
    )
