"""Cells and rows that tables of a study share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import pandas as pd

from noiseproof.evaluate.protocol import interval
from noiseproof.report.tables import NONE, Cell, Table, name_cell, percent_cell
from noiseproof.study.study_results import over_seeds


def study_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], notes: Sequence[str],
    *, num_text_columns: int = 1,
) -> Table:  # fmt: skip
    """A table of cells, and of plain text for names."""
    body = tuple(tuple(name_cell(one) if isinstance(one, str) else one for one in row) for row in rows)
    return Table(title, tuple(columns), body, tuple(notes), num_text_columns=num_text_columns)


def rate_cell(noise: float | None) -> Cell:
    """A rate of noise in percent."""
    return Cell(NONE) if noise is None else Cell(f"{100 * noise:g} %", value=noise)


def seconds_cell(value: float | None) -> Cell:
    """Seconds with two decimals."""
    return Cell(NONE) if value is None else Cell(f"{value:,.2f}", value=value)


def score_cell(rows: pd.DataFrame) -> Cell:
    """Mean score in percent, with its interval over seeds."""
    return percent_cell(over_seeds(rows, "score"))


def difference_cell(differences: Collection[float], *, digits: int = 1) -> Cell:
    """A mean difference in points, with its 95 % interval over the given differences."""
    if not differences:
        return Cell(NONE)
    mean = interval(differences)
    spread = "" if mean.half_width is None else f"± {100 * mean.half_width:.{digits}f}"
    points = round(100 * mean.mean, digits) + 0.0  # a zero without a minus
    return Cell(f"{points:+.{digits}f}", spread, mean.mean)
