"""What accuracy is measured against, where the truth is not known: a clause to stand beside the number."""

from __future__ import annotations

from collections.abc import Iterable

from noiseproof.report.run_folder import DataCard

_CLAUSES = {
    "before cleaning": "against the labels before cleaning, which may be wrong",
    "before decisions": "against the labels before people decided, which may be wrong",
    "given": "against labels as given, which may be wrong",
}


def labels_caveat(data: Iterable[DataCard], *roles: str) -> str:
    """The clause for evaluation sets of these roles; empty where their labels are true, or nothing says."""
    kinds = {card.labels for card in data if card.role in roles}
    return next((clause for kind, clause in _CLAUSES.items() if kind in kinds), "")
