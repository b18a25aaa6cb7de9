"""Spectra of features, in the shapes of the paper's figures (Chen, Wang et al. 2024, arXiv:2309.17002)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes

from noiseproof.core.records import SpectrumCard
from noiseproof.report.figures import draw_spectra
from noiseproof.report.run_folder import SetSpectra
from noiseproof.report.style import GRID, INK, MUTED, PALETTE, plain, shortened
from noiseproof.study.figures.drawing import MARKERS, Drawn, legend_of, panels, prepared
from noiseproof.study.rows import SPECTRAL
from noiseproof.study.study_results import StudyResults, over_seeds, select
from noiseproof.study.tables.notes import DOMAINS, incomplete, mean_over, with_notes

_FILE = r"^.* \+ |\.\w+$"  # the set that a shift changes; the suffix of a file


def spectrum_and_accuracy_figure(results: StudyResults) -> list[Drawn]:
    """Accuracy against SVE in domain and LSVR out of domain, a point per set and encoder (Figure 3)."""
    head = results.heads[0]
    families, domains = results.noisy_families, results.domains
    if not families or not domains:
        return []
    figure, axes = panels(len(domains), len(families), height_in=3.1)
    noises = results.rates(*families)
    for row, domain in enumerate(domains):
        for column, family in enumerate(families):
            axis = axes[row, column]
            prepared(axis, plain(f"{family}, {DOMAINS[domain]}"), "accuracy in %" if column == 0 else "")
            axis.grid(visible=True, axis="x", color=GRID, linewidth=0.8)
            axis.set_xlabel("SVE (nats)" if domain == "id" else "LSVR", color=MUTED, fontsize=9)
            _scatter(axis, results, family, domain, head, noises)
    legend_of(figure, axes[0, 0])
    caption = (
        f"Each point is an encoder on one set: accuracy of the head {head}, mean over seeds, against the "
        "spectrum of the features of that set. Lines join the encoders on one set, from clean to noisy."
    )
    caption = with_notes(caption, mean_over(results, "head"), incomplete(results))
    return [Drawn("spectrum-and-accuracy", figure, "Accuracy against SVE and LSVR of the features", caption)]


def singular_values_figure(results: StudyResults) -> list[Drawn]:
    """Singular values by rank and noise, a figure per family and set (Figures 11 to 14)."""
    sets = [pair for domain in results.domains for pair in _sets(results, domain)]
    drawn = []
    for family, (task, name) in product(results.noisy_families, sets):
        spectra = [
            SetSpectra(f"{100 * (one.noise or 0):g} % noise", "", _card(row, ""), _card(row, "centred_"))
            for one in results.noisy(family)
            for row in select(results.spectra, one, backbone=one.name, task=task, set=name).to_dict("records")
        ]
        if spectra:
            stem = re.sub(r"[^\w.-]+", "-", f"singular-values-{family}-{task}-{name}").strip("-")
            caption = (
                f"{family} encoders on {name} ({task}): singular values of the features, each as a share of "
                "their sum, in three groups of ranks."
            )
            title = f"Singular values on {name}, {family}"
            drawn.append(Drawn(stem, draw_spectra(spectra), title, caption, is_detail=True))
    return drawn


def _card(row: dict[Any, Any], prefix: str) -> SpectrumCard:
    own = {name: row[f"{prefix}{name}"] for name in SPECTRAL}
    values = np.array(own.pop("singular_values"))
    return SpectrumCard(row["num_examples"], len(values), values, **own, is_centred=bool(prefix))


def _scatter(
    axis: Axes, results: StudyResults, family: str, domain: str, head: str, noises: Sequence[float]
) -> None:
    """Points of all encoders of a family, those on one set joined and labelled."""
    quantity = "entropy_nats" if domain == "id" else "largest_ratio"
    labels: list[tuple[str, list[float], list[float]]] = []
    for task, name in _sets(results, domain):
        points = []
        for one in results.noisy(family):
            accuracy = over_seeds(results.select(one, task=task, set=name, head=head), "score")
            spectrum = over_seeds(select(results.spectra, one, task=task, set=name), quantity)
            if accuracy is not None and spectrum is not None:
                points.append((spectrum.mean, 100 * accuracy.mean, noises.index(one.noise or 0.0)))
        if points:
            across, up = [x for x, _, _ in points], [y for _, y, _ in points]
            axis.plot(across, up, color=MUTED, linewidth=0.8, alpha=0.6, zorder=1)
            for x, y, number in points:
                axis.scatter(x, y, **_marker(number), edgecolor="white", linewidth=0.5, zorder=2)
            outside = f"{task} → {re.sub(_FILE, '', name)}"
            labels.append((task if domain == "id" else outside, across, up))
    _label_lines(axis, labels)
    for number, noise in enumerate(noises):
        axis.scatter([], [], **_marker(number), label=f"{100 * noise:g} % noise")


def _marker(number: int) -> dict[str, Any]:
    return {"s": 26, "color": PALETTE[number % len(PALETTE)], "marker": MARKERS[number % len(MARKERS)]}


def _label_lines(axis: Axes, labels: Sequence[tuple[str, Sequence[float], Sequence[float]]]) -> None:
    """A name beside the first point of each line, on the side where the line does not go.

    Args:
        axis: with all points drawn.
        labels: name and points of each line.
    """
    axis.autoscale_view()
    in_panel = (axis.transScale + axis.transLimits).transform
    placed: list[tuple[float, float]] = []
    for text, x, y in sorted(labels, key=lambda label: label[2][0]):
        across, up = (float(part) for part in in_panel((x[0], y[0])))
        side = "right" if x[min(1, len(x) - 1)] >= x[0] else "left"
        if (across < 0.35 and side == "right") or (across > 0.65 and side == "left"):  # no room: above
            side, up = "left" if side == "right" else "right", up + 0.045
        else:
            across += -0.02 if side == "right" else 0.02
        while any(abs(across - other) < 0.35 and abs(up - height) < 0.04 for other, height in placed):
            up += 0.005  # one that would cover another moves up
        placed.append((across, up))
        axis.text(
            across, up, plain(shortened(text)), transform=axis.transAxes, ha=side, va="center", color=INK,
            fontsize=7, zorder=1.5, path_effects=[patheffects.withStroke(linewidth=2, foreground="white")],
        )  # fmt: skip


def _sets(results: StudyResults, domain: str) -> list[tuple[str, str]]:
    own = results.select(domain=domain)
    return list(dict.fromkeys(zip(own["task"], own["set"], strict=True)))
