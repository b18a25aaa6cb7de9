"""Figures of one encoder's features: maps by clean and given label, and the curvature of heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from noiseproof.diagnose.curvature import Curvature
from noiseproof.diagnose.maps import FeatureMap
from noiseproof.report.style import GRID, INK, MUTED, PALETTE, legend, plain, shortened, styled

_MAX_NAMED = 20  # classes with a colour and a name of their own
_POINT = 7


def feature_map_figure(
    feature_map: FeatureMap,
    given_labels: Int[np.ndarray, " m"] | None = None,
    clean_labels: Int[np.ndarray, " m"] | None = None,
    *,
    class_names: Sequence[str] = (),
) -> Figure:
    """Principal components above, t-SNE below; coloured by clean label left, by given label right.

    Labels that are wrong stand out where both are known: drawn last, larger and ringed.

    Args:
        feature_map: positions of the points.
        given_labels: of these points.
        clean_labels: likewise, where they are known.
        class_names: of the class ids.
    """
    columns: list[tuple[str, np.ndarray | None]] = [("", None)]
    if given_labels is not None:
        columns = [("by given label", given_labels)]
        if clean_labels is not None:
            columns = [("by clean label", clean_labels), *columns]
    wrong = None if given_labels is None or clean_labels is None else given_labels != clean_labels
    figure = Figure(figsize=(4.6 * len(columns) + 1.6, 8.6), layout="constrained")
    axes = figure.subplots(2, len(columns), squeeze=False)
    methods = (("Principal components", feature_map.linear), ("t-SNE", feature_map.neighbours))
    for row, (method, points) in enumerate(methods):
        for column, (title, labels) in enumerate(columns):
            axis = axes[row, column]
            is_ringed = wrong is not None and column == len(columns) - 1
            _scatter(axis, points, labels, wrong if is_ringed else None, len(class_names))
            styled(axis, ", ".join(filter(None, (method, title))))
            axis.spines["bottom"].set_visible(False)
            axis.set_xticks([])
            axis.set_yticks([])
        if row == 0:
            first, second = 100 * feature_map.explained
            axes[0, 0].set_xlabel(f"first: {first:.1f} % of the variance", color=MUTED, fontsize=9)
            axes[0, 0].set_ylabel(f"second: {second:.1f} %", color=MUTED, fontsize=9)
    _legend(figure, class_names if given_labels is not None else (), wrong)
    return figure


def curvature_figure(heads: Mapping[str, Curvature]) -> Figure:
    """Largest Hessian eigenvalues by rank, and the trace with its 95 % interval, for each head."""
    figure = Figure(figsize=(9, 3.6 + 0.16 * max(len(heads) - 4, 0)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    styled(left, "Largest Hessian eigenvalues")
    styled(right, "Trace of the Hessian")
    left.grid(visible=True, axis="y", color=GRID, linewidth=0.8)
    right.grid(visible=True, axis="x", color=GRID, linewidth=0.8)
    smallest = min((float(each.eigenvalues.min()) for each in heads.values()), default=1.0)
    if smallest > 0:  # a saddle has negative ones, which no logarithm shows
        left.set_yscale("log")
        left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        left.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        left.yaxis.set_minor_locator(NullLocator())
    for i, (name, each) in enumerate(heads.items()):
        colour, label = PALETTE[i % len(PALETTE)], plain(shortened(name))
        ranks = np.arange(1, len(each.eigenvalues) + 1)
        left.plot(ranks, each.eigenvalues, marker="o", markersize=4, linewidth=1.5, color=colour, label=label)
        right.barh(i, each.trace, color=colour, height=0.6)
        half = 1.96 * each.trace_standard_error
        right.plot([each.trace - half, each.trace + half], [i, i], color=INK, linewidth=1.3)
        right.annotate(
            f"{each.trace:.3g}", (each.trace + half, i), (5, 0), textcoords="offset points", va="center",
            color=INK, fontsize=8.5,
        )  # fmt: skip
    left.set_xlabel("rank", color=MUTED, fontsize=9)
    left.set_ylabel("nats per squared unit of weight", color=MUTED, fontsize=9)
    left.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
    right.set_yticks(range(len(heads)))
    right.set_yticklabels([plain(shortened(name)) for name in heads], color=INK, fontsize=10)
    right.set_ylim(max(len(heads), 4) - 0.4, -0.6)  # one bar is no wall
    right.margins(x=0.18)
    right.set_xlabel("sum of all eigenvalues; line: 95 % interval", color=MUTED, fontsize=9)
    legend(figure, left, num_columns=6)
    return figure


def _colours(num_classes: int) -> list[Any]:
    if num_classes <= len(PALETTE):
        return list(PALETTE)
    if num_classes <= _MAX_NAMED:
        return [mpl.colormaps["tab20" if num_classes > 10 else "tab10"](i) for i in range(num_classes)]
    return [mpl.colormaps["gist_rainbow"](i / num_classes) for i in range(num_classes)]


def _scatter(
    axis: Axes,
    points: Float[np.ndarray, "m 2"],
    labels: Int[np.ndarray, " m"] | None,
    wrong: np.ndarray | None,
    num_classes: int,
) -> None:
    colours = np.array([mpl.colors.to_rgba(colour) for colour in _colours(num_classes)])
    of_points = (
        np.tile(mpl.colors.to_rgba(PALETTE[0]), (len(points), 1)) if labels is None else colours[labels]
    )
    style: dict[str, Any] = {"s": _POINT, "alpha": 0.75 if wrong is None else 0.3, "linewidth": 0}
    layers = [(np.ones(len(points), bool) if wrong is None else ~wrong, style)]
    if wrong is not None:
        layers.append((wrong, {"s": 2.6 * _POINT, "edgecolor": INK, "linewidth": 0.7}))
    for shown, style in layers:
        x, y = points[shown].T
        axis.scatter(x, y, c=of_points[shown], rasterized=True, **style)


def _legend(figure: Figure, class_names: Sequence[str], wrong: np.ndarray | None) -> None:
    handles = []
    if 0 < len(class_names) <= _MAX_NAMED:
        for name, colour in zip(class_names, _colours(len(class_names)), strict=False):
            handles.append(_dot(plain(shortened(name)), colour, edge="none"))
    elif class_names:
        handles.append(_dot(f"{len(class_names)} classes, a colour each", MUTED, edge="none"))
    if wrong is not None:
        handles.append(_dot(f"label is wrong ({int(wrong.sum()):,} of {len(wrong):,})", "white", edge=INK))
    if handles:
        figure.legend(
            handles=handles, loc="outside right upper", frameon=False, fontsize=9.5, labelcolor=INK
        )  # fmt: skip


def _dot(label: str, colour: Any, *, edge: str) -> mpl.lines.Line2D:
    return mpl.lines.Line2D(
        [], [], marker="o", linestyle="none", markersize=6, color=colour, markeredgecolor=edge, label=label
    )
