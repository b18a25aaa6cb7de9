"""Noise in pre-training against noise in the labels, as coloured tables."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine

from noiseproof.evaluate.protocol import Interval
from noiseproof.report.style import INK, MUTED, plain, styled
from noiseproof.study.figures.drawing import Drawn
from noiseproof.study.results import Found, over_seeds, paired
from noiseproof.study.tables.notes import incomplete, mean_over, with_notes, without_clean


def noise_figure(found: Found) -> list[Drawn]:
    """Noise in pre-training x noise in the labels, a figure per head (Figures 15 and 16)."""
    kinds = list(dict.fromkeys(n.kind for n in found.recipe.noises))
    kinds = [kind for kind in kinds if kind in found.values("noise_kind")]
    families = found.noisy_families
    drawn = []
    for head in found.heads if kinds and families else ():
        tables = {
            (family, kind): _numbers(found, family, kind, head) for family in families for kind in kinds
        }
        # One scale for all panels, so that a colour means one thing; half a point is never loud.
        limit = max(0.5, *(float(np.nanmax(np.abs(d), initial=0.0)) for _, d in tables.values()))
        heights = [len(found.noisy(family)) for family in families]
        size = (max(4.2 * len(kinds), 5.0), 0.42 * sum(heights) + 0.9 * len(families) + 0.2)
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(hspace=0.06, wspace=0.05))
        axes = figure.subplots(len(families), len(kinds), squeeze=False, height_ratios=heights)
        for (family, kind), (accuracies, differences) in tables.items():
            axis = axes[families.index(family), kinds.index(kind)]
            image = _heat(axis, accuracies, differences, limit)
            _prepared_heat(axis, found, family, kind)
        bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02, aspect=30)
        bar.set_label("points against clean", color=MUTED, fontsize=8.5)
        bar.ax.tick_params(colors=MUTED, labelsize=8, length=0)
        bar.outline.set_visible(False)
        caption = (
            f"Head {head}: in-domain accuracy in %, mean over sets and seeds; below it and in colour: the "
            "difference to the encoder without noise under the same noise in the labels, in points."
        )
        caption = with_notes(
            caption, mean_over(found, "head", "noise"), incomplete(found), without_clean(found)
        )
        name = f"noise-x-noise-{head}"
        drawn.append(Drawn(name, figure, f"Noise in pre-training by noise in the labels, {head}", caption))
    return drawn


def _label_noises(found: Found, kind: str) -> list[str]:
    there = found.values("noise")
    return [one for one in there if one == "none" or one.startswith(f"{kind}:")]


def _numbers(
    found: Found, family: str, kind: str, head: str
) -> tuple[Float[np.ndarray, "m l"], Float[np.ndarray, "m l"]]:
    """Of encoders, the cleanest first, against noise in the labels; in percent, NaN where there is none.

    Returns:
        Accuracies, and differences to the encoder without noise on the sets that both have.
    """
    clean = found.clean(family)
    accuracies, differences = [], []
    for encoder in found.noisy(family):
        for noise in _label_noises(found, kind):
            own = found.select(encoder, domain="id", head=head, noise=noise)
            other = own.head(0) if clean is None else found.select(clean, domain="id", head=head, noise=noise)
            accuracies.append(_percent(over_seeds(own, "score")))
            differences.append(_percent(over_seeds(paired(own, other, "score", but="encoder"), "score")))
    shape = (len(found.noisy(family)), -1)
    return np.reshape(accuracies, shape), np.reshape(differences, shape)


def _percent(mean: Interval | None) -> float:
    return np.nan if mean is None else 100 * mean.mean


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
                said = f"{difference:+.1f}"
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
