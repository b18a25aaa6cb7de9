"""Noise in pre-training against noise in the labels, as coloured tables."""

from __future__ import annotations

from itertools import product
from statistics import fmean

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine

from noiseproof.report.style import INK, MUTED, plain, styled
from noiseproof.study.figures.drawing import Drawn
from noiseproof.study.study_results import StudyResults, differences, per_seed, select
from noiseproof.study.tables.notes import incomplete, mean_over, with_notes, without_clean


def noise_figure(results: StudyResults) -> list[Drawn]:
    """Noise in pre-training x noise in the labels, a figure per head (Figures 15 and 16)."""
    kinds, families = results.noise_kinds(results.head_rows), results.noisy_families
    drawn = []
    for head in results.heads if kinds and families else ():
        tables = {
            (family, kind): _numbers(results, family, kind, head) for family in families for kind in kinds
        }
        # One scale for all panels, so that a colour means one thing; half a point is never loud.
        limit = max(0.5, *(float(np.nanmax(np.abs(d), initial=0.0)) for _, d in tables.values()))
        heights = [len(results.noisy(family)) for family in families]
        size = (max(4.2 * len(kinds), 5.0), 0.42 * sum(heights) + 0.9 * len(families) + 0.2)
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(hspace=0.06, wspace=0.05))
        axes = figure.subplots(len(families), len(kinds), squeeze=False, height_ratios=heights)
        for (family, kind), (accuracies, gains) in tables.items():
            axis = axes[families.index(family), kinds.index(kind)]
            image = _heat(axis, accuracies, gains, limit)
            _prepared_heat(axis, results, family, kind)
        bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02, aspect=30)
        bar.set_label("points against clean", color=MUTED, fontsize=8.5)
        bar.ax.tick_params(colors=MUTED, labelsize=8, length=0)
        bar.outline.set_visible(False)
        caption = (
            f"Head {head}: in-domain accuracy in %, mean over sets and seeds; below it and in colour: the "
            "difference to the encoder without noise under the same noise in the labels, in points."
        )
        caption = with_notes(
            caption, mean_over(results, "head", "noise"), incomplete(results), without_clean(results)
        )
        name = f"noise-x-noise-{head}"
        drawn.append(Drawn(name, figure, f"Noise in pre-training by noise in the labels, {head}", caption))
    return drawn


def _label_noises(results: StudyResults, kind: str) -> list[str]:
    return [one for one in results.values("noise") if one == "none" or one.startswith(f"{kind}:")]


def _numbers(
    results: StudyResults, family: str, kind: str, head: str
) -> tuple[Float[np.ndarray, "m l"], Float[np.ndarray, "m l"]]:
    """Accuracies, and differences to the encoder without noise on the sets that both have.

    In percent, encoders, the cleanest first, against noise in the labels; NaN where no result exists.
    """
    found = []
    for encoder, noise in product(results.noisy(family), _label_noises(results, kind)):
        rows, clean = results.select(domain="id", head=head, noise=noise), results.clean_key(family)
        values = (
            per_seed(select(rows, encoder), "score"),
            differences(rows, "score", "encoder", encoder.key, clean),
        )
        found.append([100 * fmean(one.values()) if one else np.nan for one in values])
    accuracies, gains = np.reshape(found, (len(results.noisy(family)), -1, 2)).transpose(2, 0, 1)
    return accuracies, gains


def _heat(
    axis: Axes,
    accuracies: Float[np.ndarray, "m l"],
    differences: Float[np.ndarray, "m l"],
    limit: float,
) -> AxesImage:
    # Orange and purple differ to every eye; white is no difference. The darkest ends are left out.
    colours = ListedColormap(colormaps["PuOr_r"](np.linspace(0.12, 0.88, 256)))
    image = axis.imshow(differences, cmap=colours, vmin=-limit, vmax=limit, aspect="auto")
    for (i, j), value in np.ndenumerate(accuracies):
        if np.isfinite(value):
            difference = differences[i, j]
            red, green, blue, alpha = image.to_rgba(difference)  # no difference known: no colour
            ink = "white" if alpha and 0.3 * red + 0.59 * green + 0.11 * blue < 0.55 else INK
            axis.text(j, i - 0.12, f"{value:.1f}", ha="center", va="center", fontsize=9, color=ink)
            if i and np.isfinite(difference):
                text = f"{difference:+.1f}"
                axis.text(j, i + 0.26, text, ha="center", va="center", fontsize=6.5, color=ink)
    return image


def _prepared_heat(axis: Axes, results: StudyResults, family: str, kind: str) -> None:
    styled(axis, plain(f"{family}, {kind.replace('_', ' ')}"))
    axis.spines["bottom"].set_visible(False)
    noises = _label_noises(results, kind)
    axis.set_xticks(range(len(noises)), [_percent_of(one) for one in noises])
    rates = results.rates(family)
    axis.set_yticks(range(len(rates)), [f"{100 * rate:g}" for rate in rates])
    axis.set_xlabel("noise in the labels in %", color=MUTED, fontsize=9)
    axis.set_ylabel("noise in pre-training in %", color=MUTED, fontsize=9)


def _percent_of(noise: str) -> str:
    return "0" if noise == "none" else f"{100 * float(noise.rpartition(':')[2]):g}"
