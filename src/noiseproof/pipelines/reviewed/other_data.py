"""Results of other data in an output folder: they, and decisions of people on them, would be replaced."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa

from noiseproof.core.errors import NoiseproofError, invalid
from noiseproof.core.plurals import counted
from noiseproof.core.records import LabelledDataset
from noiseproof.core.storage.parquet import open_file
from noiseproof.decisions.decision_files import DECISIONS, LOG
from noiseproof.export.issue_files import ISSUES, read_summary
from noiseproof.pipelines.reviewed.kept_page import REVIEW
from noiseproof.review.review_page import read_page


def check_not_of_other_data(folder: Path, dataset: LabelledDataset, contents: Sequence[str]) -> None:
    """Refuse a folder whose suspect labels are of other data; data may grow, shrink and be edited.

    Data are others where fewer than half of the examples are shared, of the set that has fewer. Examples are
    known by their ids, or by their contents where people decided and ids are row numbers, before and now.

    Raises:
        InvalidArgument: it has results of other data.
    """
    before, by_content = _examples_in(folder, dataset.fingerprint, has_contents=bool(contents))
    now = set(contents if by_content else map(str, dataset.ids.tolist()))
    num_shared = len(now & set(before))
    if before and 2 * num_shared < min(len(now), len(before)):
        raise invalid(
            "out", str(folder), "a new folder, or the one of an earlier start with this data",
            f"It has the suspect labels of {counted(len(before), 'example')}, of which {dataset.name!r} has "
            f"{num_shared}; they and their decisions would be lost. Next: name another folder, or delete "
            "this one.",
        )  # fmt: skip


def _examples_in(folder: Path, fingerprint: str, *, has_contents: bool) -> tuple[Collection[str], bool]:
    """Ids or contents of the examples that were judged, and whether they are contents.

    None where they are the same as now, or cannot be read.
    """
    if not (folder / ISSUES).is_file():
        return (), False
    try:
        if read_summary(folder).data_fingerprint in (None, fingerprint):
            return (), False
        is_decided = any((folder / name).is_file() for name in (DECISIONS, LOG))
        contents = read_page(folder / REVIEW).contents if has_contents and is_decided else {}
        if contents:
            return set(contents.values()), True
        ids = open_file(folder / ISSUES).read(columns=["example_id"]).column(0)
    except (NoiseproofError, OSError, pa.ArrowException):  # damaged or gone, and made again
        return (), False
    return set(map(str, ids.to_pylist())), False
