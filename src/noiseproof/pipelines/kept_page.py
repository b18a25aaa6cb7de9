"""The review page of a finished folder of `detect` or `run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from noiseproof.core.records import Dataset, LabelIssues
from noiseproof.decisions.decision_files import read_kept
from noiseproof.decisions.record import Decision, ReviewedExamples
from noiseproof.export.issue_files import load_issues
from noiseproof.pipelines.rate_sample import read_draws

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
    # It loads SciPy and scikit-learn, which a finished folder does without.
    from noiseproof.review.review_page import identity_of, write_review

    known = known_decisions(folder, issues, identity_of(issues, dataset))
    draws = read_draws(folder, dataset)
    drawn = () if draws is None else list(dict.fromkeys(draws.rows.tolist()))
    return write_review(
        folder / REVIEW, issues, dataset, features, decisions=known, drawn=drawn, kind_of_map=kind_of_map
    )


def known_decisions(folder: Path, issues: LabelIssues, identity: str) -> list[Decision]:
    """The decisions that a folder keeps about its labels; a page may have new classes."""
    return read_kept(folder, ReviewedExamples.of_issues(issues, identity=identity, new_classes=True))
