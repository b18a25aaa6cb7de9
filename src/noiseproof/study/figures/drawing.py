"""Parts that figures of a study share, on top of the style of all figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from noiseproof.evaluate.protocol import Interval
from noiseproof.report.style import GRID, MUTED, PALETTE, legend, plain, styled

_ENTRY_IN = 1.7  # width of a legend's entry
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


Points = Sequence[tuple[float, Interval | None]]  # rates in [0, 1] -> means


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


@dataclass(frozen=True, eq=False)
class Panel:
    """Curves over a rate of noise.

    Attributes:
        title: above the panel.
        y_label: what the curves show.
        curves: label -> points.
        scale: 100 for shares, which are drawn in percent.
        ticks: rates on the x axis, in [0, 1]; empty for those matplotlib chooses.
        corner: words above the panel, to the right.
    """

    title: str
    y_label: str
    curves: Mapping[str, Points]
    scale: float = 100.0
    ticks: Sequence[float] = ()
    corner: str = ""


def curve_panels(
    rows: Sequence[Sequence[Panel]], x_label: str, *, height_in: float = 2.6, width_in: float = 4.0,
    has_common_y: bool = False,
) -> Figure:  # fmt: skip
    """A figure of panels with one legend; only the last row has labels of the x axis.

    Args:
        rows: of panels, equally many in each.
        x_label: of the x axis.
        height_in, width_in: of a panel.
        has_common_y: whether all panels have the same y axis.
    """
    figure, axes = panels(len(rows), len(rows[0]), height_in=height_in, width_in=width_in)
    flat = list(zip(axes.flat, (panel for row in rows for panel in row), strict=True))
    for axis, panel in flat:
        prepared(axis, plain(panel.title), panel.y_label)
        for number, (label, points) in enumerate(panel.curves.items()):
            _curve(axis, points, number, label=plain(label), scale=panel.scale)
        if panel.ticks:
            axis.set_xticks([100 * rate for rate in panel.ticks])
        if panel.corner:
            axis.text(1, 1.03, panel.corner, transform=axis.transAxes, ha="right", color=MUTED, fontsize=9)
    limits = [axis.get_ylim() for axis, _ in flat]
    for axis, panel in flat:
        if has_common_y:
            axis.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
        if panel.scale == 100:
            within_percent(axis)
    for axis in axes[-1]:
        axis.set_xlabel(x_label, color=MUTED, fontsize=9)
    legend_of(figure, axes[0, 0])
    return figure


def panels(
    num_rows: int, num_columns: int, *, height_in: float = 2.6, width_in: float = 4.0
) -> tuple[Figure, np.ndarray]:
    """A figure with room for its titles and legend, and its axes by row and column."""
    size = (max(width_in * num_columns, 5.0), height_in * num_rows + 0.5)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(hspace=0.06, wspace=0.05))
    return figure, figure.subplots(num_rows, num_columns, squeeze=False)


def prepared(axis: Axes, title: str, y_label: str) -> None:
    """Style a panel with horizontal lines only."""
    styled(axis, title)
    axis.grid(visible=True, axis="y", color=GRID, linewidth=0.8)
    axis.margins(x=0.06, y=0.12)
    if y_label:
        axis.set_ylabel(y_label, color=MUTED, fontsize=9)


def within_percent(axis: Axes) -> None:
    """Limit an axis to shares that are possible; a mark at 100 stays whole."""
    low, high = axis.get_ylim()
    axis.set_ylim(max(low, 0.0), min(high, 101.0))


def _curve(axis: Axes, points: Points, number: int, *, label: str, scale: float) -> None:
    known = [(100 * rate, mean) for rate, mean in points if mean is not None]
    if known:
        axis.errorbar(
            [rate for rate, _ in known], [scale * mean.mean for _, mean in known],
            yerr=[scale * (mean.half_width or 0.0) for _, mean in known],
            color=PALETTE[number % len(PALETTE)], marker=MARKERS[number % len(MARKERS)], markersize=4.5,
            linewidth=1.6, elinewidth=1.0, capsize=2.5, label=label,
        )  # fmt: skip


def legend_of(figure: Figure, axis: Axes) -> None:
    """A legend above the panels, unless it has one entry."""
    _, labels = axis.get_legend_handles_labels()
    if len(labels) > 1:
        in_a_row = max(1, int(figure.get_figwidth() / _ENTRY_IN))
        num_rows = math.ceil(len(labels) / in_a_row)
        legend(figure, axis, num_columns=math.ceil(len(labels) / num_rows))
