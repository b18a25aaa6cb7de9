"""Accuracy by wrong labels in the training set, a panel per encoder and a line per head."""

from __future__ import annotations

import pandas as pd

from noiseproof.evaluate.protocol import Interval
from noiseproof.report.style import MUTED, plain
from noiseproof.study.drawing import Drawn, curve, legend, panels, prepared, within_percent
from noiseproof.study.found import Found, over_seeds
from noiseproof.study.notes import incomplete, mean_over, with_notes


def label_noise_figure(found: Found) -> list[Drawn]:
    """Accuracy in domain by the rate of noise in the labels, a figure per kind."""
    kinds = list(dict.fromkeys(noise.kind for noise in found.recipe.noises))
    return [_drawn(found, kind) for kind in kinds if kind in found.values("noise_kind")]


def _drawn(found: Found, kind: str) -> Drawn:
    settings, encoders = found.values("setting"), found.encoders
    figure, axes = panels(len(settings), len(encoders), height_in=2.8, width_in=3.4)
    low, high = 100.0, 0.0
    for row, setting in enumerate(settings):
        for column, encoder in enumerate(encoders):
            axis = axes[row, column]
            title = encoder.title if len(settings) == 1 else f"{encoder.title}, {setting}"
            prepared(axis, plain(title), "accuracy in %" if column == 0 else "")
            for number, head in enumerate(found.heads):
                cells = found.select(encoder, domain="id", head=head, setting=setting)
                points = _points(cells, kind)
                curve(axis, points, number, label=plain(head), scale=100.0)
            low, high = min(low, axis.get_ylim()[0]), max(high, axis.get_ylim()[1])
            if row == len(settings) - 1:
                axis.set_xlabel(f"{kind} noise in the labels in %", color=MUTED, fontsize=9)
    for axis in axes.flat:
        axis.set_ylim(low, high)
        within_percent(axis)
    legend(figure, axes[0, 0])
    caption = (
        f"Accuracy in domain by the rate of {kind} noise in the labels of the training set. Bars: 95 % "
        "intervals over seeds."
    )
    caption = with_notes(caption, mean_over(found, "head", "noise", "setting"), incomplete(found))
    return Drawn(f"label-noise-{kind}", figure, f"Accuracy by {kind} noise in the labels", caption)


def _points(cells: pd.DataFrame, kind: str) -> list[tuple[float, Interval | None]]:
    """Rate in [0, 1] -> mean over sets and seeds; without noise first."""
    own = cells[(cells["noise_kind"] == kind) | (cells["noise"] == "none")]
    rates = sorted(set(own["noise_rate"]))
    return [(rate, over_seeds(own[own["noise_rate"] == rate], "score")) for rate in rates]
