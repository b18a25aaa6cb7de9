"""The pieces that figures of a study share, on top of the style of all figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from noiseproof.evaluate.protocol import Interval
from noiseproof.report.style import GRID, INK, MUTED, PALETTE, styled
from noiseproof.study.recipe import Encoder

_ENTRY_IN = 1.7  # width of a legend's entry
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


@dataclass(frozen=True, eq=False)
class Drawn:
    """A figure ready to be written.

    Attributes:
        name: of its files.
        figure: as matplotlib draws it.
        description: what it shows, for those who cannot see it.
        caption: how to read it.
        is_detail: whether it is one of many that the page shows on request.
    """

    name: str
    figure: Figure
    description: str
    caption: str
    is_detail: bool = False


def panels(
    num_rows: int, num_columns: int, *, height_in: float = 2.6, width_in: float = 4.0
) -> tuple[Figure, np.ndarray]:
    """A figure with room for its titles and legend, and its axes by row and column."""
    size = (max(width_in * num_columns, 5.0), height_in * num_rows + 0.5)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(hspace=0.06, wspace=0.05))
    return figure, figure.subplots(num_rows, num_columns, squeeze=False)


def prepared(axis: Axes, title: str, y_label: str) -> None:
    """A panel with horizontal lines only."""
    styled(axis, title)
    axis.grid(visible=True, axis="y", color=GRID, linewidth=0.8)
    axis.margins(x=0.06, y=0.12)
    if y_label:
        axis.set_ylabel(y_label, color=MUTED, fontsize=9)


def within_percent(axis: Axes) -> None:
    """No room for what cannot be; intervals may reach further, and a mark at 100 stays whole."""
    low, high = axis.get_ylim()
    axis.set_ylim(max(low, 0.0), min(high, 101.0))


def noise_axis(axis: Axes, encoders: Sequence[Encoder], *, is_last: bool) -> None:
    """Ticks at the rates that encoders have."""
    axis.set_xticks([100 * (one.noise or 0.0) for one in encoders])
    if is_last:
        axis.set_xlabel("noise in pre-training in %", color=MUTED, fontsize=9)


def line(
    axis: Axes,
    points: Iterable[tuple[Encoder, Interval | None]],
    number: int,
    *,
    label: str,
    scale: float,
) -> None:
    """Means with their intervals over the noise in pre-training."""
    curve(axis, [(one.noise or 0.0, found) for one, found in points], number, label=label, scale=scale)


def curve(
    axis: Axes, points: Iterable[tuple[float, Interval | None]], number: int, *, label: str, scale: float
) -> None:
    """Means with their intervals over rates in [0, 1]."""
    known = [(100 * rate, found) for rate, found in points if found is not None]
    if not known:
        return
    colour = PALETTE[number % len(PALETTE)]
    x = [noise for noise, _ in known]
    y = [scale * found.mean for _, found in known]
    spread = [scale * (found.half_width or 0.0) for _, found in known]
    axis.errorbar(
        x, y, yerr=spread, color=colour, marker=MARKERS[number % len(MARKERS)], markersize=4.5,
        linewidth=1.6, elinewidth=1.0, capsize=2.5, label=label,
    )  # fmt: skip


def legend(figure: Figure, axis: Axes) -> None:
    """Above the panels, unless there is one entry."""
    handles, labels = axis.get_legend_handles_labels()
    if len(labels) > 1:
        in_a_row = max(1, int(figure.get_figwidth() / _ENTRY_IN))
        num_columns = math.ceil(len(labels) / math.ceil(len(labels) / in_a_row))
        figure.legend(
            handles, labels, loc="outside upper left", ncols=num_columns, frameon=False, fontsize=9.5,
            labelcolor=INK,
        )  # fmt: skip
