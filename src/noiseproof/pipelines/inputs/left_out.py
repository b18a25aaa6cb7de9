"""Examples and files that are not in a data set, for notes and cards."""

from __future__ import annotations

import itertools

from noiseproof.core.plurals import counted
from noiseproof.core.records import Dataset
from noiseproof.data.examples import listed

_MOST_SKIPPED = 1000  # on a card


def left_out(dataset: Dataset) -> list[str]:
    """Notes on what is not in a data set: examples that were skipped, and files that were passed over."""
    lines = list(dataset.notes)
    if dataset.skipped:
        lines.append(
            f"Left out of {dataset.name}: {counted(dataset.num_skipped, 'example')}: "
            f"{listed(dataset.skipped)}."
        )
    return lines


def skipped_section(dataset: Dataset) -> list[dict[str, str]]:
    """The examples that were left out, with their reasons, on a card."""
    rows = itertools.islice(dataset.skipped.items(), _MOST_SKIPPED)
    return [{"example_id": example_id, "reason": reason} for example_id, reason in rows]
