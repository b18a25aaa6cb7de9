"""Results of other data in an output folder: they, and decisions of people on them, would be replaced."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa

from noiseproof.core.errors import NoiseproofError, invalid
from noiseproof.core.parquet import open_file
from noiseproof.core.plurals import counted
from noiseproof.core.records import LabelledDataset
from noiseproof.decisions.decision_files import DECISIONS, LOG
from noiseproof.export.issue_files import ISSUES, read_summary
from noiseproof.pipelines.kept_page import REVIEW


def check_not_of_other_data(folder: Path, dataset: LabelledDataset, contents: Sequence[str]) -> None:
    """Refuse a folder whose suspect labels are of other data; data may grow, shrink and be edited.

    Data are others where fewer than half of the examples are shared, of the set that has fewer. Examples are
    known by their ids, or by their contents where people decided and ids are row numbers.

    Args:
        folder: of the output.
        dataset: to be judged.
        contents: hash of each example, where ids are row numbers.

    Raises:
        InvalidArgument: it has results of other data.
    """
    by_content = bool(contents) and any((folder / name).is_file() for name in (DECISIONS, LOG))
    before = _examples_in(folder, dataset.fingerprint, by_content=by_content)
    now = set(contents if by_content else map(str, dataset.ids.tolist()))
    num_shared = len(now & set(before))
    if before and 2 * num_shared < min(len(now), len(before)):
        raise invalid(
            "out", str(folder), "a new folder, or the one of an earlier start with this data",
            f"It has the suspect labels of {counted(len(before), 'example')}, of which {dataset.name!r} has "
            f"{num_shared}; they and their decisions would be lost. Next: name another folder, or delete "
            "this one.",
        )  # fmt: skip


def _examples_in(folder: Path, fingerprint: str, *, by_content: bool) -> Collection[str]:
    """Ids or contents of the examples that were judged; none where they are the same, or cannot be read."""
    if not (folder / ISSUES).is_file():
        return ()
    try:
        if read_summary(folder).data_fingerprint in (None, fingerprint):
            return ()
        if by_content:
            from noiseproof.review.review_page import read_page  # loads SciPy and scikit-learn

            return set(read_page(folder / REVIEW).contents.values())
        ids = open_file(folder / ISSUES).read(columns=["example_id"]).column(0)
    except (NoiseproofError, OSError, pa.ArrowException):  # damaged or gone, and made again
        return ()
    return set(map(str, ids.to_pylist()))
