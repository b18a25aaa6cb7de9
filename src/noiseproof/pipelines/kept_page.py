"""The review page of a finished folder of `detect` or `run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from noiseproof.core.records import Dataset, LabelIssues
from noiseproof.decisions.files import DECISIONS, read_decisions
from noiseproof.decisions.record import Decision, Examples
from noiseproof.export.issue_files import load_issues

if TYPE_CHECKING:
    from noiseproof.review.decision_log import DecisionLog

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


def make_page(folder: Path, issues: LabelIssues, dataset: Dataset, features: Any) -> Path:
    """Write the page with the decisions of the folder in it."""
    # They load SciPy and scikit-learn, which a finished folder does without.
    from noiseproof.review.decision_log import DecisionLog
    from noiseproof.review.review_page import identity_of, write_review

    log = DecisionLog(folder, identity_of(issues, dataset))
    known = known_decisions(folder, issues, log)
    return write_review(folder / REVIEW, issues, dataset, features, decisions=known)


def known_decisions(folder: Path, issues: LabelIssues, log: DecisionLog) -> list[Decision]:
    """The decisions of `decisions.csv`, where there is one, and of the log, which is newer.

    A decision of the table is left out if its person decided about the same example in the log.
    """
    table = folder / DECISIONS
    of_table = read_decisions(table, Examples.of_issues(issues, new_classes=True)) if table.is_file() else []
    of_log = log.named
    return [one for one in of_table if (one.example_id, one.who) not in of_log] + log.standing()
