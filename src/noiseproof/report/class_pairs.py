"""Pairs of classes that are confused: a given label, the suggested one, and some of their examples."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from noiseproof.report.run_folder import RunFolder, Suspect

MOST_PAIRS, MOST_EXAMPLES = 12, 4


@dataclass(frozen=True)
class ClassPair:
    """Flagged examples with one given and one suggested label.

    Attributes:
        given_label: of the examples.
        suggested_label: of the detector.
        num_flagged: how many there are.
        examples: the most suspicious of them that the page can show.
    """

    given_label: str
    suggested_label: str
    num_flagged: int
    examples: tuple[Suspect, ...]


def class_pairs(run: RunFolder) -> list[ClassPair]:
    """Pairs with the most flagged examples first, then by name; at most `MOST_PAIRS`."""
    flagged = run.issues[run.issues["is_issue"].astype(bool)]
    shown: dict[tuple[str, str], list[Suspect]] = {}
    for suspect in run.pictured:
        if suspect.is_issue:
            pair = (str(suspect.given_label), str(suspect.suggested_label))
            shown.setdefault(pair, []).append(suspect)
    names = (flagged[column].astype(str) for column in ("given_label", "suggested_label"))
    counts = Counter(zip(*names, strict=True))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_PAIRS]
    return [
        ClassPair(given, suggested, count, tuple(shown.get((given, suggested), ())[:MOST_EXAMPLES]))
        for (given, suggested), count in ranked
    ]
