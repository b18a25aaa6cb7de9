"""The figures of a report, as SVG text that is the same for the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, FuncFormatter, LogLocator

from noiseproof.evaluate.protocol import Interval, heads_of, interval, seed_means, sets_of
from noiseproof.evaluate.results import ResultRow, main_metric
from noiseproof.report.run_folder import SetSpectra
from noiseproof.report.style import GRID, INK, MUTED, PALETTE, legend, plain, shortened, styled, svg
from noiseproof.report.tables import METRIC_TITLES

Group = tuple[str, tuple[str, ...]]
_GROUPS = ((1, 20, "top 20"), (20, 500, "20 to 500"), (500, None, "beyond 500"))
_MAX_LINES, _MAX_POINTS, _NUM_BINS = 6, 150, 40
_ROW_IN = 0.21


def accuracy_figure(rows: Sequence[ResultRow]) -> str:
    """A bar per evaluation set and head: mean, 95 % interval, and a point per seed."""
    inside, outside, heads = sets_of(rows, "id"), sets_of(rows, "ood"), heads_of(rows)
    panels: list[tuple[str, list[Group]]] = [("In domain", [(name, (name,)) for name in inside])]
    panels.append(("Out of domain", [(name, (name,)) for name in outside]))
    if len(outside) > 1:
        panels[1][1].append(("mean out of domain", tuple(outside)))
    panels = [panel for panel in panels if panel[1]]
    sizes = [len(groups) * (len(heads) + 0.9) for _, groups in panels]
    figure = Figure(figsize=(9, 0.75 + sum(sizes) * _ROW_IN + 0.35 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 1, height_ratios=sizes, sharex=True, squeeze=False)[:, 0]
    for axis, (title, groups) in zip(axes, panels, strict=True):
        styled(axis, title)
        _bars(axis, rows, groups, heads)
    metric = METRIC_TITLES[main_metric(rows)]
    axes[-1].set_xlabel(f"{metric} in %", color=MUTED, fontsize=9)
    legend(figure, axes[0], num_columns=6)
    return svg(figure, "accuracy", f"{metric} in and out of domain for each head")


def spectrum_figure(spectra: Sequence[SetSpectra]) -> str:
    """The spectra of a run, as `draw_spectra` draws them."""
    description = "Singular values of the features by rank, for every data set, raw and centred"
    return svg(draw_spectra(spectra), "spectrum", description)


def draw_spectra(spectra: Sequence[SetSpectra]) -> Figure:
    """Singular values by rank in the paper's three groups (top 20, 20 to 500, the rest), raw and centred.

    Each value is shown as its share of the sum, which is what SVE and LSVR are made of and what makes sets of
    different sizes comparable.
    """
    longest = max(len(entry.raw.singular_values) for entry in spectra)
    groups = [group for group in _GROUPS if group[0] < max(longest, 2)]
    figure = Figure(figsize=(9, 5.4), layout="constrained")
    axes = figure.subplots(2, len(groups), squeeze=False)
    styles = _line_styles(spectra)
    for row, name in enumerate(("raw", "centred")):
        for column, (first, last, title) in enumerate(groups):
            axis = axes[row, column]
            styled(axis, title if row == 0 else "")
            axis.grid(visible=True, axis="y", color=GRID, linewidth=0.8)
            axis.set_yscale("log")
            if last == 20:
                axis.set_xticks([1, 5, 10, 15, 20])
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=6))
            axis.yaxis.set_major_formatter(FormatStrFormatter("%g"))
            for entry, style in zip(spectra, styles, strict=True):
                ranks, shares = _shares(getattr(entry, name).singular_values, first, last)
                axis.plot(ranks, shares, marker="o" if last == 20 else None, markersize=2.5, **style)
        axes[row, 0].set_ylabel(f"{name}\nshare of the sum in %", color=MUTED, fontsize=9)
    for axis in axes[-1]:
        axis.set_xlabel("rank of the singular value", color=MUTED, fontsize=9)
    legend(figure, axes[0, 0], num_columns=4)
    return figure


def suspicion_figure(issues: pd.DataFrame) -> str:
    """How the suspicion is spread; split into wrong and right labels where the truth is known.

    Args:
        issues: as in `label_issues.parquet`, with `clean_label` where it is known.
    """
    figure = Figure(figsize=(6, 3.3), layout="constrained")
    axis = figure.subplots()
    styled(axis, "")
    axis.grid(visible=True, axis="y", color=GRID, linewidth=0.8)
    suspicion = issues["suspicion"].to_numpy(np.float64)
    parts = [("all labels", np.ones(len(issues), bool), PALETTE[0])]
    if "clean_label" in issues:
        is_wrong = (issues["given_label"] != issues["clean_label"]).to_numpy(bool)
        parts = [("right", ~is_wrong, PALETTE[0]), ("wrong", is_wrong, PALETTE[4])]
    for label, chosen, colour in parts:
        counts, edges = np.histogram(suspicion[chosen], bins=_NUM_BINS, range=(0, 1))
        label = f"{label} ({chosen.sum():,})"
        axis.stairs(counts, edges, fill=True, color=colour, alpha=0.35, baseline=0.5)
        axis.stairs(counts, edges, color=colour, linewidth=1.6, label=label, baseline=0.5)
    axis.set_yscale("log")
    axis.set_ylim(bottom=0.5)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    axis.set_xlim(0, 1)
    axis.set_xlabel("suspicion (higher = more likely wrong)", color=MUTED, fontsize=9)
    axis.set_ylabel("labels (log scale)", color=MUTED, fontsize=9)
    legend(figure, axis, num_columns=2)
    return svg(figure, "suspicion", "Histogram of the suspicion of all labels")


def _bars(axis: Axes, rows: Sequence[ResultRow], groups: list[Group], heads: list[str]) -> None:
    step = len(heads) + 0.9
    for h, head in enumerate(heads):
        axis.barh([np.nan], [np.nan], color=PALETTE[h % len(PALETTE)], label=plain(shortened(head)))
        for g, (_, sets) in enumerate(groups):
            values = seed_means(rows, head=head, sets=sets, metric=main_metric(rows)).values()
            if values:
                _bar(axis, g * step + h, interval(values), PALETTE[h % len(PALETTE)])
    axis.set_yticks([g * step + (len(heads) - 1) / 2 for g in range(len(groups))])
    axis.set_yticklabels([plain(shortened(name)) for name, _ in groups], color=INK, fontsize=10)
    if len(groups) > 1 and len(groups[-1][1]) > 1:
        axis.axhline((len(groups) - 1) * step - 0.95, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
    axis.set_ylim(len(groups) * step - 1.25, -0.65)
    axis.set_xlim(0, 112)
    axis.set_xticks(range(0, 101, 20))
    axis.grid(visible=True, axis="x", color=GRID, linewidth=0.8)


def _bar(axis: Axes, at: float, interval: Interval, colour: str) -> None:
    mean, spread = 100 * interval.mean, 100 * (interval.half_width or 0)
    points = 100 * np.array(interval.values)
    axis.barh(at, mean, height=0.82, color=colour, linewidth=0)
    if interval.half_width is not None:
        ends = [max(mean - spread, 0), min(mean + spread, 100)]
        axis.plot(ends, [at, at], color=INK, linewidth=1.3, solid_capstyle="butt", zorder=3)
        offsets = at + np.linspace(-0.18, 0.18, len(points))
        axis.scatter(points, offsets, s=7, color="white", edgecolor=INK, linewidth=0.7, zorder=4)
    right = max(min(mean + spread, 100), points.max())
    axis.text(right + 1.2, at, f"{mean:.1f}", va="center", color=INK, fontsize=8.5)


def _line_styles(spectra: Sequence[SetSpectra]) -> list[dict[str, Any]]:
    styles: list[dict[str, Any]] = []
    for i, entry in enumerate(spectra):
        if len(spectra) <= _MAX_LINES:
            label = ", ".join(part for part in (shortened(entry.set_name), entry.role) if part)
            colour = PALETTE[i % len(PALETTE)]
        else:
            of_role = [other for other in spectra if other.role == entry.role]
            label = (
                f"{entry.role} ({len(of_role)} sets)" if len(of_role) > 1 else f"{shortened(entry.set_name)}"
            )
            label = label if of_role[0] is entry else "_hidden"
            colour = {"train": INK, "test": PALETTE[0]}.get(entry.role, PALETTE[1])
        styles.append(
            {"color": colour, "linewidth": 1.5, "label": plain(label) if label != "_hidden" else label}
        )
    return styles


def _shares(singular_values: np.ndarray, first: int, last: int | None) -> tuple[np.ndarray, np.ndarray]:
    shares = 100 * singular_values / max(singular_values.sum(), np.finfo(np.float64).tiny)
    ranks = np.arange(1, len(shares) + 1)
    chosen = (ranks >= first) & (ranks <= (last or len(ranks)))
    # A centred matrix has a null direction; on a log axis it would squeeze everything else.
    chosen &= shares > 1e-7 * shares.max(initial=0)
    places = np.flatnonzero(chosen)
    if len(places) > _MAX_POINTS:
        places = places[np.linspace(0, len(places) - 1, _MAX_POINTS).round().astype(int)]
    return ranks[places], shares[places]
