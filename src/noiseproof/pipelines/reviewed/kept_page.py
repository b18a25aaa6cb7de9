"""The review page of a finished folder of `detect` or `run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noiseproof.core.errors import DamagedFile, MissingFile
from noiseproof.core.records import Dataset, LabelIssues
from noiseproof.data.fingerprints import content_hashes
from noiseproof.decisions.decision_files import DECISIONS, LOG, keep_decisions, read_kept, time_of_files
from noiseproof.decisions.record import Decision, ReviewedExamples
from noiseproof.decisions.settle import undisputed, with_times
from noiseproof.export.issue_files import SUMMARY, load_issues, read_summary
from noiseproof.pipelines.reviewed.brought_decisions import RECORD, read_brought
from noiseproof.pipelines.reviewed.rate_sample import read_draws
from noiseproof.review.review_page import identity_of, put_decisions, read_page, write_review

if TYPE_CHECKING:
    from noiseproof.review.surroundings import Map

REVIEW = "review.html"


def keep_page(folder: Path, dataset: Dataset, features: Any) -> Path:
    """The page of a folder whose results are published; written unless it is there.

    Args:
        folder: of the results; a start that changes them deletes the page.
        dataset: the judged examples, in the order of the issues.
        features: of these examples, or `None`.
    """
    page = folder / REVIEW
    return page if page.is_file() else make_page(folder, load_issues(folder), dataset, features)


def make_page(
    folder: Path, issues: LabelIssues, dataset: Dataset, features: Any, *, kind_of_map: Map = "pca"
) -> Path:
    """Write the page with the decisions of the folder in it."""
    contents = content_hashes(dataset)
    examples = reviewed_on_page(folder, issues, identity_of(issues, dataset), contents)
    known = undisputed(read_kept(folder, examples))
    draws = read_draws(folder, dataset.ids, fingerprint=dataset.fingerprint)
    drawn = () if draws is None else list(dict.fromkeys(draws.rows.tolist()))
    return write_review(
        folder / REVIEW, issues, dataset, features, decisions=known, drawn=drawn, contents=contents,
        kind_of_map=kind_of_map,
    )  # fmt: skip


def known_decisions(folder: Path, issues: LabelIssues, identity: str) -> list[Decision]:
    """The decisions that a folder keeps about its labels."""
    return read_kept(folder, _of_page(folder, issues, identity))


def _of_page(folder: Path, issues: LabelIssues, identity: str) -> ReviewedExamples:
    """The examples of the page of a folder, which is there."""
    hashes = read_page(folder / REVIEW).contents
    contents = [hashes.get(str(each), "") for each in issues.ids.tolist()] if hashes else []
    return reviewed_on_page(folder, issues, identity, contents)


def keep_known(folder: Path, issues: LabelIssues, identity: str) -> list[Decision]:
    """Write the decisions of a folder to `decisions.csv` and into its page, and return them.

    Those without a time get one, so that what people decide later on the page counts.
    """
    examples = _of_page(folder, issues, identity)
    decisions = with_times(read_kept(folder, examples), time_of_files([folder / DECISIONS]))
    keep_decisions(folder, decisions, examples)
    put_decisions(folder / REVIEW, undisputed(decisions))
    return decisions


def keep_before_change(folder: Path, identity: str) -> None:
    """Note in `decisions.csv` what its rows are about, before a search in changed data replaces the page.

    Rows that a person wrote have no label or content to compare with; those of the page are known by now.
    """
    if not any((folder / name).is_file() for name in (DECISIONS, LOG)) or not (folder / REVIEW).is_file():
        return
    try:
        before, issues = read_page(folder / REVIEW).identity, load_issues(folder)
    except (DamagedFile, MissingFile):  # made again
        return
    if before != identity:
        keep_known(folder, issues, before)


def decided_ids(folder: Path) -> set[str]:
    """Ids of the examples whose labels people decided, by the decisions that a folder of results keeps."""
    if (
        not any((folder / name).is_file() for name in (DECISIONS, LOG, RECORD))
        or not (folder / SUMMARY).is_file()
    ):
        return set()
    issues = load_issues(folder)
    examples = replace(
        ReviewedExamples.of_issues(issues, fingerprint=read_summary(folder).data_fingerprint),
        new_classes=True, may_have_others=True, brought=read_brought(folder),
    )  # fmt: skip
    counting = undisputed(read_kept(folder, examples))
    return {one.example_id for one in counting if one.is_sure}


def reviewed_on_page(
    folder: Path, issues: LabelIssues, identity: str, contents: Sequence[str]
) -> ReviewedExamples:
    """The examples of a page, which may have new classes; a folder may keep decisions about others."""
    return replace(
        ReviewedExamples.of_issues(issues, identity=identity), new_classes=True, may_have_others=True,
        contents=contents, brought=read_brought(folder),
    )  # fmt: skip
