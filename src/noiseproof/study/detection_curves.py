"""Average precision of detectors by the rate of wrong labels, a panel per set and a line per detector."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from noiseproof.evaluate.protocol import Interval
from noiseproof.report.style import MUTED, plain
from noiseproof.study.arena_settings import notes_of_detections
from noiseproof.study.drawing import Drawn, curve, legend, panels, prepared, within_percent
from noiseproof.study.found import Found, over_seeds
from noiseproof.study.notes import with_notes

_OTHERS = 6  # beside the first; more have no colours of their own


def detectors_figure(found: Found) -> list[Drawn]:
    """A figure per kind of noise; with many detectors several, each with the first of the recipe."""
    rows = found.detections
    kinds = dict.fromkeys(noise.kind for noise in found.recipe.noises)
    there = set(rows["noise_kind"]) if len(rows) else set()
    first, *others = found.detectors or [""]
    parts = [[first, *others[i : i + _OTHERS]] for i in range(0, max(len(others), 1), _OTHERS)]
    return [
        _drawn(found, kind, part, f"-{number}" if len(parts) > 1 else "")
        for kind in kinds
        if kind in there
        for number, part in enumerate(parts, start=1)
    ]


def _drawn(found: Found, kind: str, detectors: Sequence[str], suffix: str) -> Drawn:
    rows = found.detections[found.detections["noise_kind"] == kind]
    places = list(rows.groupby(["encoder", "task"], sort=False))
    figure, axes = panels(1, len(places), height_in=3.0, width_in=3.4)
    for column, (axis, ((encoder, task), own)) in enumerate(zip(axes[0], places, strict=True)):
        title = str(task) if rows["encoder"].nunique() == 1 else f"{task}, {encoder}"
        prepared(axis, plain(title), "average precision in %" if column == 0 else "")
        axis.set_xlabel(f"{kind} noise in the labels in %", color=MUTED, fontsize=9)
        for number, detector in enumerate(detectors):
            points = _points(own[own["detector"] == detector])
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


def _points(rows: pd.DataFrame) -> list[tuple[float, Interval | None]]:
    """Rate in [0, 1] -> mean over seeds."""
    rates = sorted(set(rows["noise_rate"]))
    return [(rate, over_seeds(rows[rows["noise_rate"] == rate], "average_precision")) for rate in rates]
