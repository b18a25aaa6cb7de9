"""Figures of a study, in the shapes of the paper's (Chen, Wang et al. 2024, arXiv:2309.17002)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps, patheffects
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine

from noiseproof.evaluate.protocol import Interval
from noiseproof.report.figures import draw_spectra
from noiseproof.report.run_folder import SetSpectra
from noiseproof.report.style import GRID, INK, MUTED, PALETTE, plain, shortened, styled
from noiseproof.study.found import Found, over_seeds, percent_of_data
from noiseproof.study.recipe import Encoder

_DOMAINS = {"id": "in domain", "ood": "out of domain"}
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


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


def influence_figure(found: Found) -> list[Drawn]:
    """Accuracy in and out of domain by noise in pre-training, a line per share of the data (Figure 2)."""
    head = found.heads[0]
    families, domains = found.noisy_families, found.domains
    if not families or not domains:
        return []
    figure, axes = _panels(len(domains), len(families))
    shares = found.values("share")
    for row, domain in enumerate(domains):
        for column, family in enumerate(families):
            axis = axes[row, column]
            _prepared(axis, plain(f"{family}, {_DOMAINS[domain]}"), "accuracy in %" if column == 0 else "")
            for i, share in enumerate(shares):
                points = [
                    (one, over_seeds(found.select(one, domain=domain, head=head, share=share), "score"))
                    for one in found.noisy(family)
                ]
                _line(axis, points, i, label=percent_of_data(share), scale=100)
            _noise_axis(axis, found.noisy(family), is_last=row == len(domains) - 1)
    _legend(figure, axes[0, 0])
    caption = (
        f"Accuracy of the head {head}, mean over sets, by the rate of wrong labels in pre-training. Bars: "
        "95 % intervals over seeds of the head; each encoder was pre-trained once."
    )
    return [Drawn("influence", figure, "Accuracy in and out of domain by noise in pre-training", caption)]


def spectrum_and_accuracy_figure(found: Found) -> list[Drawn]:
    """Accuracy against SVE in domain and LSVR out of domain, a point per set and encoder (Figure 3)."""
    head = found.heads[0]
    families, domains = found.noisy_families, found.domains
    if not families or not domains:
        return []
    figure, axes = _panels(len(domains), len(families), height_in=3.1)
    noises = sorted({one.noise or 0.0 for family in families for one in found.noisy(family)})
    for row, domain in enumerate(domains):
        quantity = "entropy_nats" if domain == "id" else "largest_ratio"
        for column, family in enumerate(families):
            axis = axes[row, column]
            _prepared(axis, plain(f"{family}, {_DOMAINS[domain]}"), "accuracy in %" if column == 0 else "")
            axis.grid(visible=True, axis="x", color=GRID, linewidth=0.8)
            axis.set_xlabel("SVE (nats)" if domain == "id" else "LSVR", color=MUTED, fontsize=9)
            _scatter(axis, found, family, domain, quantity, head, noises)
    _legend(figure, axes[0, 0])
    caption = (
        f"Each point is an encoder on one set: accuracy of the head {head}, mean over shares of the data and "
        "seeds, against the spectrum of the features of that set. Lines join the encoders on one set, from "
        "clean to noisy."
    )
    return [Drawn("spectrum-and-accuracy", figure, "Accuracy against SVE and LSVR of the features", caption)]


def methods_figure(found: Found) -> list[Drawn]:
    """F1 and spectrum of the features of every head, by noise in pre-training (Figure 5)."""
    families = found.noisy_families
    wanted = [("id", "macro_f1", "F1 in %"), ("id", "entropy_nats", "SVE (nats)")]
    wanted += [("ood", "macro_f1", "F1 in %"), ("ood", "largest_ratio", "LSVR")]
    panels = [
        (domain, value, name)
        for domain, value, name in wanted
        if domain in found.domains and found.cells[value].notna().any()
    ]
    if not families or not panels:
        return []
    figure, axes = _panels(len(families), len(panels), width_in=2.9)
    for row, family in enumerate(families):
        for column, (domain, value, name) in enumerate(panels):
            axis = axes[row, column]
            _prepared(axis, plain(f"{family if column == 0 else ''}"), name)
            if row == 0:
                axis.text(
                    1, 1.03, _DOMAINS[domain], transform=axis.transAxes, ha="right", color=MUTED, fontsize=9
                )
            for i, head in enumerate(found.heads):
                points = [
                    (one, over_seeds(found.select(one, domain=domain, head=head), value))
                    for one in found.noisy(family)
                ]
                _line(axis, points, i, label=plain(head), scale=100 if value == "macro_f1" else 1)
            _noise_axis(axis, found.noisy(family), is_last=row == len(families) - 1)
    _legend(figure, axes[0, 0])
    caption = (
        "By noise in pre-training: F1 of the heads, and entropy (SVE) and largest-singular-value ratio "
        "(LSVR) of the features that reach the classifier. Bars: 95 % intervals over seeds."
    )
    return [Drawn("methods", figure, "F1, SVE and LSVR of the heads by noise in pre-training", caption)]


def noise_figure(found: Found) -> list[Drawn]:
    """Noise in pre-training x noise in the labels, a figure per head (Figures 15 and 16)."""
    kinds = list(dict.fromkeys(n.kind for n in found.recipe.label_noise if n is not None))
    kinds = [kind for kind in kinds if kind in found.values("noise_kind")]
    families = found.noisy_families
    drawn = []
    for head in found.heads if kinds and families else ():
        tables = {
            (family, kind): _accuracies(found, family, kind, head) for family in families for kind in kinds
        }
        # One scale for all panels, so that a colour means one thing; half a point is never loud.
        limit = max(0.5, *(float(np.nanmax(np.abs(t - t[0]), initial=0.0)) for t in tables.values()))
        heights = [len(found.noisy(family)) for family in families]
        size = (max(4.2 * len(kinds), 5.0), 0.42 * sum(heights) + 0.9 * len(families) + 0.2)
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(hspace=0.06, wspace=0.05))
        axes = figure.subplots(len(families), len(kinds), squeeze=False, height_ratios=heights)
        for (family, kind), table in tables.items():
            axis = axes[families.index(family), kinds.index(kind)]
            image = _heat(axis, table, limit)
            _prepared_heat(axis, found, family, kind)
        bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02, aspect=30)
        bar.set_label("points against the clean encoder", color=MUTED, fontsize=8.5)
        bar.ax.tick_params(colors=MUTED, labelsize=8, length=0)
        bar.outline.set_visible(False)
        caption = (
            f"Head {head}: in-domain accuracy in %, mean over sets and seeds; below it and in colour: the "
            "difference to the encoder without noise under the same noise in the labels, in points."
        )
        name = f"noise-x-noise-{head}"
        drawn.append(Drawn(name, figure, f"Noise in pre-training by noise in the labels, {head}", caption))
    return drawn


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
                if (row.task, row.set_name) == (task, name)
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
    "singular-values": singular_values_figure,
}


def _panels(
    num_rows: int, num_columns: int, *, height_in: float = 2.6, width_in: float = 4.0
) -> tuple[Figure, np.ndarray]:
    size = (max(width_in * num_columns, 5.0), height_in * num_rows + 0.5)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(hspace=0.06, wspace=0.05))
    return figure, figure.subplots(num_rows, num_columns, squeeze=False)


def _prepared(axis: Axes, title: str, y_label: str) -> None:
    styled(axis, title)
    axis.grid(visible=True, axis="y", color=GRID, linewidth=0.8)
    axis.margins(x=0.06, y=0.12)
    if y_label:
        axis.set_ylabel(y_label, color=MUTED, fontsize=9)


def _noise_axis(axis: Axes, encoders: Sequence[Encoder], *, is_last: bool) -> None:
    axis.set_xticks([100 * (one.noise or 0.0) for one in encoders])
    if is_last:
        axis.set_xlabel("noise in pre-training in %", color=MUTED, fontsize=9)


def _line(
    axis: Axes,
    points: Iterable[tuple[Encoder, Interval | None]],
    number: int,
    *,
    label: str,
    scale: float,
) -> None:
    known = [(100 * (encoder.noise or 0.0), found) for encoder, found in points if found is not None]
    if not known:
        return
    colour = PALETTE[number % len(PALETTE)]
    x = [noise for noise, _ in known]
    y = [scale * found.mean for _, found in known]
    spread = [scale * (found.half_width or 0.0) for _, found in known]
    axis.errorbar(
        x, y, yerr=spread, color=colour, marker=_MARKERS[number % len(_MARKERS)], markersize=4.5,
        linewidth=1.6, elinewidth=1.0, capsize=2.5, label=label,
    )  # fmt: skip


def _scatter(
    axis: Axes, found: Found, family: str, domain: str, quantity: str, head: str, noises: Sequence[float]
) -> None:
    encoders = found.noisy(family)
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
                *point, s=26, color=PALETTE[number % len(PALETTE)], marker=_MARKERS[number % len(_MARKERS)],
                edgecolor="white", linewidth=0.5, zorder=2,
            )  # fmt: skip
        top = int(np.argmax(y))
        axis.annotate(
            plain(shortened(task if domain == "id" else name, 20)), (x[top], y[top]), xytext=(0, 6),
            textcoords="offset points", ha="center", color=INK, fontsize=7.5,
            path_effects=[patheffects.withStroke(linewidth=2, foreground="white")],
        )  # fmt: skip
    for number, noise in enumerate(noises):
        axis.scatter(
            [], [], s=26, color=PALETTE[number % len(PALETTE)], marker=_MARKERS[number % len(_MARKERS)],
            label=f"{100 * noise:g} % noise",
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
    if accuracy is None or not rows:
        return None
    return getattr(rows[0], quantity), 100 * accuracy.mean


def _label_noises(found: Found, kind: str) -> list[str]:
    there = found.values("noise")
    return [one for one in there if one == "none" or one.startswith(f"{kind}:")]


def _accuracies(found: Found, family: str, kind: str, head: str) -> Float[np.ndarray, "m l"]:
    """In percent, NaN where there is none: encoders, the cleanest first, against noise in the labels."""
    means = [
        [
            over_seeds(found.select(encoder, domain="id", head=head, noise=noise), "score")
            for noise in _label_noises(found, kind)
        ]
        for encoder in found.noisy(family)
    ]
    return np.array([[np.nan if one is None else 100 * one.mean for one in row] for row in means])


def _heat(axis: Axes, accuracies: Float[np.ndarray, "m l"], limit: float) -> AxesImage:
    differences = accuracies - accuracies[0]
    # Orange and purple differ to every eye; white is no difference. The darkest ends are left out.
    colours = ListedColormap(colormaps["PuOr_r"](np.linspace(0.12, 0.88, 256)))
    image = axis.imshow(differences, cmap=colours, vmin=-limit, vmax=limit, aspect="auto")
    for (i, j), value in np.ndenumerate(accuracies):
        if np.isfinite(value):
            red, green, blue, _ = image.to_rgba(differences[i, j])
            ink = "white" if 0.3 * red + 0.59 * green + 0.11 * blue < 0.55 else INK
            axis.text(j, i - 0.12, f"{value:.1f}", ha="center", va="center", fontsize=9, color=ink)
            if i:
                said = f"{differences[i, j]:+.1f}"
                axis.text(j, i + 0.26, said, ha="center", va="center", fontsize=6.5, color=ink)
    return image


def _prepared_heat(axis: Axes, found: Found, family: str, kind: str) -> None:
    styled(axis, plain(f"{family}, {kind.replace('_', ' ')}"))
    axis.spines["bottom"].set_visible(False)
    noises = _label_noises(found, kind)
    axis.set_xticks(range(len(noises)), [_percent_of(one) for one in noises])
    encoders = found.noisy(family)
    axis.set_yticks(range(len(encoders)), [f"{100 * (one.noise or 0):g}" for one in encoders])
    axis.set_xlabel("noise in the labels in %", color=MUTED, fontsize=9)
    axis.set_ylabel("noise in pre-training in %", color=MUTED, fontsize=9)


def _percent_of(noise: str) -> str:
    return "0" if noise == "none" else f"{100 * float(noise.rpartition(':')[2]):g}"


def _legend(figure: Figure, axis: Axes) -> None:
    handles, labels = axis.get_legend_handles_labels()
    if len(labels) > 1:
        figure.legend(
            handles, labels, loc="outside upper left", ncols=6, frameon=False, fontsize=9.5, labelcolor=INK
        )
