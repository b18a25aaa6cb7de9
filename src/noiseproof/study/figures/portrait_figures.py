"""Figures of a study: examples in the plane, and how curved the loss of its heads is.

Views of the released code of Chen, Wang et al. 2024, arXiv:2309.17002 (`pca.py`, `tsne.py`, `hessian.py`).
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from noiseproof.report.portraits import curvature_figure, feature_map_figure
from noiseproof.report.style import plain
from noiseproof.study.figures.drawing import Drawn, legend, line, noise_axis, panels, prepared
from noiseproof.study.recipe import Encoder
from noiseproof.study.results import Found, over_seeds, percent_of_data
from noiseproof.study.rows import CurvatureRow, MapRow
from noiseproof.study.tables.notes import luck_in_intervals, mean_over, with_notes

_NO_NOISE = "none"


def feature_map_figures(found: Found) -> list[Drawn]:
    """A figure per encoder, task and noise in the labels: principal components and t-SNE, by label."""
    drawn = []
    for encoder in found.encoders:
        for row in found.maps:
            if row.backbone in encoder.names and row.layer == encoder.layer:
                drawn.append(_map(row, _title(encoder, row.backbone)))
    return drawn


def curvature_figures(found: Found) -> list[Drawn]:
    """Largest eigenvalue and trace by noise in pre-training; all eigenvalues of each encoder and task."""
    table = _table(found)
    if not len(table):
        return []
    overviews = [_overview(found, table, noise) for noise in dict.fromkeys(table["noise"])]
    details = [
        _detail(encoder, task, [row for row in _rows_of(found, encoder) if row.task == task])
        for encoder in found.encoders
        for task in dict.fromkeys(row.task for row in _rows_of(found, encoder))
    ]
    return [*(one for one in overviews if one is not None), *details]


def _map(row: MapRow, title: str) -> Drawn:
    given = np.array(row.given)
    clean = None if row.clean is None else np.array(row.clean)
    figure = feature_map_figure(row.map, given, clean, class_names=row.class_names)
    noise = _noise(row)
    of = row.set_name if noise == _NO_NOISE else f"{row.set_name}, {_labels(noise)}"
    caption = (
        f"{len(row.rows):,} of the {row.num_examples:,} examples of {of} ({row.task}), as {title} sees them. "
        "By t-SNE only who is near whom means something."
    )
    name = _stem("feature-map", row.backbone, row.layer or "", row.task, noise)
    description = f"Examples in the plane: {title}, {row.task}, {_labels(noise)}"
    return Drawn(name, figure, description, caption, is_detail=True)


def _overview(found: Found, table: pd.DataFrame, noise: str) -> Drawn | None:
    families = found.noisy_families
    if not families:
        return None
    quantities = (("largest", "largest eigenvalue"), ("trace", "trace"))
    figure, axes = panels(len(quantities), len(families))
    for row, (value, name) in enumerate(quantities):
        for column, family in enumerate(families):
            axis = axes[row, column]
            prepared(axis, plain(f"{family}, {name}"), "nats / unit²" if column == 0 else "")
            for i, head in enumerate(found.heads):
                own = table[(table["noise"] == noise) & (table["head"] == head)]
                points = [
                    (one, over_seeds(own[own["encoder"] == _key(one)], value)) for one in found.noisy(family)
                ]
                line(axis, points, i, label=plain(head), scale=1.0)
            noise_axis(axis, found.noisy(family), is_last=row == len(quantities) - 1)
    legend(figure, axes[0, 0])
    caption = (
        f"Hessian of the loss that each head was trained on, {_labels(noise)}, without its regularisers: "
        "largest eigenvalue and trace, by noise in pre-training. Bars: 95 % intervals over seeds."
    )
    caption = with_notes(caption, luck_in_intervals(found), mean_over(found, "head", "noise"))
    description = f"Curvature of the loss of the heads by noise in pre-training, {_labels(noise)}"
    return Drawn(_stem("curvature", noise), figure, description, caption)


def _detail(encoder: Encoder, task: str, rows: list[CurvatureRow]) -> Drawn:
    """All heads of seed 0, their eigenvalues by rank."""
    first = min(row.seed for row in rows)
    heads = {_head(row, rows): row.curvature for row in rows if row.seed == first}
    caption = (
        f"{encoder.title} on {task}, heads of the first seed: the largest eigenvalues of the Hessian of the "
        "training loss, and its trace."
    )
    description = f"Hessian eigenvalues of the heads: {encoder.title}, {task}"
    name = _stem("curvature", encoder.name, encoder.layer or "", task)
    return Drawn(name, curvature_figure(heads), description, caption, is_detail=True)


def _head(row: CurvatureRow, rows: list[CurvatureRow]) -> str:
    """A head, with as much of its place as tells it from the others."""
    parts = [row.head] if row.noise_kind is None else [row.head, f"{row.noise_kind} {row.noise_rate:g}"]
    if len({one.share for one in rows}) > 1:
        parts.append(percent_of_data(row.share))
    if len({one.setting for one in rows}) > 1:
        parts.append(row.setting)
    return ", ".join(parts)


def _table(found: Found) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for encoder in found.encoders:
        for row in _rows_of(found, encoder):
            place = (row.task, row.share, row.setting)
            rows.append(
                {
                    "encoder": _key(encoder), "task": row.task, "seed": row.seed, "head": row.head,
                    "noise": _noise(row), "place": place, "trace": row.trace, "largest": row.eigenvalues[0],
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _rows_of(found: Found, encoder: Encoder) -> list[CurvatureRow]:
    return [row for row in found.curvatures if row.backbone in encoder.names and row.layer == encoder.layer]


def _title(encoder: Encoder, backbone: str) -> str:
    """Of one of the backbones that count as an encoder."""
    return encoder.title if backbone == encoder.name else f"{encoder.title} ({backbone})"


def _key(encoder: Encoder) -> str:
    return f"{encoder.name} {encoder.layer}"


def _noise(row: MapRow | CurvatureRow) -> str:
    return _NO_NOISE if row.noise_kind is None else f"{row.noise_kind}:{row.noise_rate:g}"


def _labels(noise: str) -> str:
    return "labels as given" if noise == _NO_NOISE else f"labels with {noise.replace(':', ' ')} noise"


def _stem(*parts: str) -> str:
    return re.sub(r"[^\w.]+", "-", "-".join(filter(None, parts))).strip("-")
