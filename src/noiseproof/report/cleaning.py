"""Whether cleaning helped, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from noiseproof.core.plurals import counted


def cleaning_sentences(effect: Mapping[str, Any] | None) -> list[str]:
    """The verdict with both accuracies, and how to read the accuracy against the labels from before.

    Args:
        effect: the fields of `CleaningEffect` (`pipelines.reviewed.cleaning_effect`); `None` without.
    """
    if effect is None:
        return []
    gain = effect["difference"]
    n, num_decided, num = effect["num_examples"], effect["num_decided"], effect["num_corrected"]
    after, before = (f"{100 * effect[name]:.1f} %" for name in ("after", "before"))
    points, low, high = (f"{100 * gain[name]:+.1f}" for name in ("value", "low", "high"))
    were = "was" if num == 1 else "were"
    first = (
        f"{_verdict(gain, n)} {effect['head']} classifies {after} of the {n:,} examples of "
        f"{effect['set_name']} correctly after {counted(num, 'label')} to learn from {were} corrected, and "
        f"{before} with the labels from before ({points} points, 95 % interval {low} to {high}), both "
        "against the same labels."
    )
    if not num_decided:
        return [first]
    return [
        first,
        f"People decided {num_decided:,} of these; they chose which, so both numbers may be too "
        "high, and their difference, too. "
        "Accuracy against the labels from before does not tell whether cleaning helped, since labels that "
        "people found to be wrong count as right there.",
    ]


def _verdict(gain: Mapping[str, float], n: int) -> str:
    if gain["low"] > 0:
        return "Cleaning helped:"
    if gain["high"] < 0:
        return "Cleaning made the classifier worse:"
    return f"Whether cleaning helped cannot be told from {n:,} examples;"
