"""Curves over the rate of wrong labels: accuracy of heads, average precision of detectors."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from noiseproof.evaluate.protocol import Interval
from noiseproof.report.style import MUTED, plain
from noiseproof.study.figures.drawing import Drawn, curve, legend, panels, prepared, within_percent
from noiseproof.study.results import Found, over_seeds
from noiseproof.study.tables.detector_settings import notes_of_detections
from noiseproof.study.tables.notes import incomplete, mean_over, with_notes


def label_noise_figure(found: Found) -> list[Drawn]:
    """Accuracy in domain by the rate of noise in the labels, a figure per kind."""
    kinds = list(dict.fromkeys(noise.kind for noise in found.recipe.noises))
    return [_accuracy_curves(found, kind) for kind in kinds if kind in found.values("noise_kind")]


def _accuracy_curves(found: Found, kind: str) -> Drawn:
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
                points = _accuracy_points(cells, kind)
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


def _accuracy_points(cells: pd.DataFrame, kind: str) -> list[tuple[float, Interval | None]]:
    """Rate in [0, 1] -> mean over sets and seeds; without noise first."""
    own = cells[(cells["noise_kind"] == kind) | (cells["noise"] == "none")]
    rates = sorted(set(own["noise_rate"]))
    return [(rate, over_seeds(own[own["noise_rate"] == rate], "score")) for rate in rates]


_OTHERS = 6  # beside the first; more have no colours of their own


def detectors_figure(found: Found) -> list[Drawn]:
    """A figure per kind of noise; with many detectors several, each with the first of the recipe."""
    rows = found.detections
    kinds = dict.fromkeys(noise.kind for noise in found.recipe.noises)
    there = set(rows["noise_kind"]) if len(rows) else set()
    first, *others = found.detectors or [""]
    parts = [[first, *others[i : i + _OTHERS]] for i in range(0, max(len(others), 1), _OTHERS)]
    return [
        _detector_curves(found, kind, part, f"-{number}" if len(parts) > 1 else "")
        for kind in kinds
        if kind in there
        for number, part in enumerate(parts, start=1)
    ]


def _detector_curves(found: Found, kind: str, detectors: Sequence[str], suffix: str) -> Drawn:
    rows = found.detections[found.detections["noise_kind"] == kind]
    places = list(rows.groupby(["encoder", "task"], sort=False))
    figure, axes = panels(1, len(places), height_in=3.0, width_in=3.4)
    for column, (axis, ((encoder, task), own)) in enumerate(zip(axes[0], places, strict=True)):
        title = str(task) if rows["encoder"].nunique() == 1 else f"{task}, {encoder}"
        prepared(axis, plain(title), "average precision in %" if column == 0 else "")
        axis.set_xlabel(f"{kind} noise in the labels in %", color=MUTED, fontsize=9)
        for number, detector in enumerate(detectors):
            points = _detector_points(own[own["detector"] == detector])
            curve(axis, points, number, label=plain(detector), scale=100.0)
        axis.set_xticks([100 * rate for rate in sorted(set(own["noise_rate"]))])
        within_percent(axis)
    legend(figure, axes[0, 0])
    caption = (
        f"Average precision of the suspicion by the rate of {kind} noise, on the training set. Bars: 95 % "
        "intervals over seeds."
    )
    caption = with_notes(caption, notes_of_detections(found, bold=False)[1:])
    return Drawn(f"detectors-{kind}{suffix}", figure, f"Detectors by {kind} noise in the labels", caption)


def _detector_points(rows: pd.DataFrame) -> list[tuple[float, Interval | None]]:
    """Rate in [0, 1] -> mean over seeds."""
    rates = sorted(set(rows["noise_rate"]))
    return [(rate, over_seeds(rows[rows["noise_rate"] == rate], "average_precision")) for rate in rates]
