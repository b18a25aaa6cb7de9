"""Columns of a cleaned data set that say what people decided about each example."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from noiseproof.core.class_names import label_text
from noiseproof.export.edits import Cleaning, Edits

ORIGINAL, DECISION, DECIDED_LABEL = "original_label", "decision", "decided_label"
DECIDED_BY, DECIDED_AT = "decided_by", "decided_at"
# Column -> field of the decision on each example.
DECISION_COLUMNS = {DECISION: "decision", DECIDED_LABEL: "label", DECIDED_BY: "who", DECIDED_AT: "when"}


def decided_suffix(names: Collection[str]) -> str | None:
    """What the columns of people's decisions end in, such as "" or "_2"; `None` without all of them."""
    own = (ORIGINAL, *DECISION_COLUMNS)
    return next((end for end in _suffixes(names) if all(f"{name}{end}" in names for name in own)), None)


def _suffixes(names: Collection[str]) -> Iterator[str]:
    return iter(["", *(f"_{number}" for number in range(2, len(names) + 3))])


def columns_by_people(
    cleaning: Cleaning, changes: Edits, taken: Mapping[str, Callable[[str], Any]]
) -> dict[str, np.ndarray]:
    """Columns of decisions, where nothing but decisions cleans: those of an earlier cleaning, or free ones.

    Args:
        cleaning: what cleans.
        changes: its results.
        taken: column of the data set -> a function that reads it by its name.
    """
    if cleaning.way is not None:
        return {}
    end = decided_suffix(taken)
    if end is not None:
        own = {f"{name}{end}": field for name, field in DECISION_COLUMNS.items()}
        return {name: changes.column(field, texts_of(taken[name](name))) for name, field in own.items()}
    names = (ORIGINAL, *DECISION_COLUMNS)
    end = next(end for end in _suffixes(taken) if not any(f"{name}{end}" in taken for name in names))
    return {f"{name}{end}": changes.column(field) for name, field in DECISION_COLUMNS.items()}


def texts_of(cells: Any) -> list[str]:
    """Cells of a column or an array as texts; empty for missing ones."""
    values = cells.to_pylist() if isinstance(cells, pa.ChunkedArray) else cells.tolist()
    return ["" if value is None or value != value else label_text(value) for value in values]


def original_column(taken: Collection[str], by_people: Collection[str]) -> str:
    """The column of the labels before: of people's decisions beside these, else a free one."""
    if by_people:
        return ORIGINAL + next(iter(by_people)).removeprefix(DECISION)
    return next(f"{ORIGINAL}{end}" for end in _suffixes(taken) if f"{ORIGINAL}{end}" not in taken)
