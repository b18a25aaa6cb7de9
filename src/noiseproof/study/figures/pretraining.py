"""Figures of a study, in the shapes of the paper's (Chen, Wang et al. 2024, arXiv:2309.17002)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from matplotlib import patheffects
from matplotlib.axes import Axes

from noiseproof.report.figures import draw_spectra
from noiseproof.report.run_folder import SetSpectra
from noiseproof.report.style import GRID, INK, MUTED, PALETTE, plain, shortened
from noiseproof.study.figures.curves import detectors_figure, label_noise_figure
from noiseproof.study.figures.drawing import (
    MARKERS,
    Drawn,
    legend,
    line,
    noise_axis,
    panels,
    prepared,
    within_percent,
)
from noiseproof.study.figures.heat import noise_figure
from noiseproof.study.figures.portrait_figures import curvature_figures, feature_map_figures
from noiseproof.study.recipe import Encoder
from noiseproof.study.results import Found, mean_of, over_seeds, percent_of_data
from noiseproof.study.tables.notes import (
    DOMAINS,
    chosen_noise,
    incomplete,
    luck_in_intervals,
    mean_over,
    with_notes,
)

_FILE = r"^.* \+ |\.\w+$"  # what a shift is of; the suffix of a file


def influence_figure(found: Found) -> list[Drawn]:
    """Accuracy in and out of domain by noise in pre-training, a line per share of the data (Figure 2)."""
    head, noise = found.heads[0], found.least_label_noise
    families, domains = found.noisy_families, found.domains
    if not families or not domains:
        return []
    figure, axes = panels(len(domains), len(families))
    shares = found.values("share")
    for row, domain in enumerate(domains):
        for column, family in enumerate(families):
            axis = axes[row, column]
            prepared(axis, plain(f"{family}, {DOMAINS[domain]}"), "accuracy in %" if column == 0 else "")
            for i, share in enumerate(shares):
                points = [
                    (
                        one,
                        over_seeds(
                            found.select(one, domain=domain, head=head, share=share, noise=noise), "score"
                        ),
                    )
                    for one in found.noisy(family)
                ]
                line(axis, points, i, label=percent_of_data(share), scale=100.0)
            within_percent(axis)
            noise_axis(axis, found.noisy(family), is_last=row == len(domains) - 1)
    legend(figure, axes[0, 0])
    caption = (
        f"Accuracy of the head {head}, mean over sets, by the rate of wrong labels in pre-training. Bars: "
        "95 % intervals over seeds."
    )
    caption = with_notes(
        caption,
        luck_in_intervals(found),
        chosen_noise(found),
        mean_over(found, "share", "head", *(["noise"] if noise else [])),
        incomplete(found),
    )
    return [Drawn("influence", figure, "Accuracy in and out of domain by noise in pre-training", caption)]


def spectrum_and_accuracy_figure(found: Found) -> list[Drawn]:
    """Accuracy against SVE in domain and LSVR out of domain, a point per set and encoder (Figure 3)."""
    head = found.heads[0]
    families, domains = found.noisy_families, found.domains
    if not families or not domains:
        return []
    figure, axes = panels(len(domains), len(families), height_in=3.1)
    noises = sorted({one.noise or 0.0 for family in families for one in found.noisy(family)})
    for row, domain in enumerate(domains):
        quantity = "entropy_nats" if domain == "id" else "largest_ratio"
        for column, family in enumerate(families):
            axis = axes[row, column]
            prepared(axis, plain(f"{family}, {DOMAINS[domain]}"), "accuracy in %" if column == 0 else "")
            axis.grid(visible=True, axis="x", color=GRID, linewidth=0.8)
            axis.set_xlabel("SVE (nats)" if domain == "id" else "LSVR", color=MUTED, fontsize=9)
            _scatter(axis, found, family, domain, quantity, head, noises)
    legend(figure, axes[0, 0])
    caption = (
        f"Each point is an encoder on one set: accuracy of the head {head}, mean over seeds, against the "
        "spectrum of the features of that set. Lines join the encoders on one set, from clean to noisy."
    )
    caption = with_notes(caption, mean_over(found, "head"), incomplete(found))
    return [Drawn("spectrum-and-accuracy", figure, "Accuracy against SVE and LSVR of the features", caption)]


def methods_figure(found: Found) -> list[Drawn]:
    """F1 and spectrum of the features of every head, by noise in pre-training (Figure 5)."""
    families = found.noisy_families
    wanted = [("id", "macro_f1", "F1 in %"), ("id", "entropy_nats", "SVE (nats)")]
    wanted += [("ood", "macro_f1", "F1 in %"), ("ood", "largest_ratio", "LSVR")]
    shown = [
        (domain, value, name)
        for domain, value, name in wanted
        if domain in found.domains and found.cells[value].notna().any()
    ]
    if not families or not shown:
        return []
    figure, axes = panels(len(families), len(shown), width_in=2.9)
    for row, family in enumerate(families):
        for column, (domain, value, name) in enumerate(shown):
            axis = axes[row, column]
            prepared(axis, plain(f"{family if column == 0 else ''}"), name)
            if row == 0:
                axis.text(
                    1, 1.03, DOMAINS[domain], transform=axis.transAxes, ha="right", color=MUTED, fontsize=9
                )
            for i, head in enumerate(found.heads):
                points = [
                    (one, over_seeds(found.select(one, domain=domain, head=head), value))
                    for one in found.noisy(family)
                ]
                line(axis, points, i, label=plain(head), scale=100.0 if value == "macro_f1" else 1.0)
            if value == "macro_f1":
                within_percent(axis)
            noise_axis(axis, found.noisy(family), is_last=row == len(families) - 1)
    legend(figure, axes[0, 0])
    caption = (
        "By noise in pre-training: F1 of the heads, and entropy (SVE) and largest-singular-value ratio "
        "(LSVR) of the features that reach the classifier. Bars: 95 % intervals over seeds."
    )
    caption = with_notes(caption, luck_in_intervals(found), mean_over(found, "head"), incomplete(found))
    return [Drawn("methods", figure, "F1, SVE and LSVR of the heads by noise in pre-training", caption)]


def singular_values_figure(found: Found) -> list[Drawn]:
    """Singular values by rank and noise, a figure per family and set (Figures 11 to 14)."""
    drawn = []
    for family in found.noisy_families:
        for task, name in [pair for domain in found.domains for pair in _sets(found, domain)]:
            spectra = [
                SetSpectra(
                    f"{100 * (one.noise or 0):g} % noise",
                    "",
                    row.card(is_centred=False),
                    row.card(is_centred=True),
                )
                for one in found.noisy(family)
                for row in found.spectra_of(one)
                if (row.backbone, row.task, row.set_name) == (one.name, task, name)
            ]
            stem = re.sub(r"[^\w.-]+", "-", f"singular-values-{family}-{task}-{name}").strip("-")
            caption = (
                f"{family} encoders on {name} ({task}): singular values of the features, each as a share of "
                "their sum, in three groups of ranks."
            )
            if spectra:
                drawn.append(
                    Drawn(
                        stem,
                        draw_spectra(spectra),
                        f"Singular values on {name}, {family}",
                        caption,
                        is_detail=True,
                    )
                )
    return drawn


FIGURES: dict[str, Callable[[Found], list[Drawn]]] = {
    "influence": influence_figure,
    "spectrum-and-accuracy": spectrum_and_accuracy_figure,
    "methods": methods_figure,
    "noise-x-noise": noise_figure,
    "label-noise": label_noise_figure,
    "detectors": detectors_figure,
    "singular-values": singular_values_figure,
    "feature-maps": feature_map_figures,
    "curvature": curvature_figures,
}


def _scatter(
    axis: Axes, found: Found, family: str, domain: str, quantity: str, head: str, noises: Sequence[float]
) -> None:
    encoders = found.noisy(family)
    labels: list[tuple[str, list[float], list[float]]] = []
    for task, name in _sets(found, domain):
        points = [_point(found, one, task, name, quantity, head) for one in encoders]
        known = [(one, point) for one, point in zip(encoders, points, strict=True) if point is not None]
        if not known:
            continue
        x, y = [p[0] for _, p in known], [p[1] for _, p in known]
        axis.plot(x, y, color=MUTED, linewidth=0.8, alpha=0.6, zorder=1)
        for one, point in known:
            number = noises.index(one.noise or 0.0)
            axis.scatter(
                *point, s=26, color=PALETTE[number % len(PALETTE)], marker=MARKERS[number % len(MARKERS)],
                edgecolor="white", linewidth=0.5, zorder=2,
            )  # fmt: skip
        outside = f"{task} → {re.sub(_FILE, '', name)}"
        labels.append((task if domain == "id" else outside, x, y))
    _labelled(axis, labels)
    for number, noise in enumerate(noises):
        axis.scatter(
            [], [], s=26, color=PALETTE[number % len(PALETTE)], marker=MARKERS[number % len(MARKERS)],
            label=f"{100 * noise:g} % noise",
        )  # fmt: skip


def _labelled(axis: Axes, labels: Sequence[tuple[str, Sequence[float], Sequence[float]]]) -> None:
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


def _sets(found: Found, domain: str) -> list[tuple[str, str]]:
    own = found.select(domain=domain)
    return list(dict.fromkeys(zip(own["task"], own["set"], strict=True)))


def _point(
    found: Found, encoder: Encoder, task: str, name: str, quantity: str, head: str
) -> tuple[float, float] | None:
    cells = found.select(encoder, task=task, set=name, head=head)
    accuracy = over_seeds(cells, "score")
    rows = [row for row in found.spectra_of(encoder) if row.task == task and row.set_name == name]
    place = mean_of(getattr(row, quantity) for row in rows)
    return None if accuracy is None or place is None else (place, 100 * accuracy.mean)
