"""Cells and rows that tables of a study share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from noiseproof.evaluate.protocol import Interval, interval, is_positive
from noiseproof.report.tables import NONE, Cell, Table, name_cell, percent_cell
from noiseproof.study.study_results import by_place, less, mean_within_seeds, over_seeds


def study_table(
    title: str,
    names: Sequence[str],
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    notes: Iterable[str],
) -> Table:
    """A table whose first columns, `names`, have texts, the others numbers."""
    body = tuple(tuple(name_cell(one) if isinstance(one, str) else one for one in row) for row in rows)
    return Table(title, (*names, *columns), body, tuple(notes), num_text_columns=len(names))


def mean_cells(
    rows: pd.DataFrame,
    axis: str,
    names: Sequence[str],
    value: str,
    *,
    show: Callable[[Interval | None], Cell] = percent_cell,
    sign: int = 1,
    counts_equals: bool = True,
) -> dict[str, Cell]:
    """Name on an axis -> its mean, bold where it is clearly ahead of every other on the places of both.

    Args:
        rows: to take the mean of.
        axis: "head" or "detector".
        names: on this axis.
        value: column of the rows.
        show: an interval -> a cell.
        sign: 1 where more is better, -1 where less is; 0 where neither alone is a virtue, and none is bold.
        counts_equals: whether one with the same results keeps another from being ahead.
    """
    places = {name: by_place(rows[rows[axis] == name], value, but=axis) for name in names}
    cells = {}
    for name, own in places.items():
        leads = [mean_within_seeds(less(own, other)) for other in places.values() if other is not own]
        signed = [[sign * number for number in lead.values()] for lead in leads]
        signed = [lead for lead in signed if counts_equals or not lead or any(lead)]
        is_best = bool(sign and signed) and all(map(is_positive, signed))
        means = mean_within_seeds(own).values()
        cells[name] = replace(show(interval(means) if means else None), is_best=is_best)
    return cells


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
