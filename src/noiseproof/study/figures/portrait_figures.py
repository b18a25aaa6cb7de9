"""Figures of a study: examples in the plane, and how curved the loss of its heads is.

Views of the released code of Chen, Wang et al. 2024, arXiv:2309.17002 (`pca.py`, `tsne.py`, `hessian.py`).
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from noiseproof.report.portraits import curvature_figure, feature_map_figure
from noiseproof.study.axes import Encoder
from noiseproof.study.figures.curves import BY_PRETRAINING, by_encoder, rates_of
from noiseproof.study.figures.drawing import Drawn, Panel, curve_panels
from noiseproof.study.rows import CurvatureRow, MapRow
from noiseproof.study.study_results import StudyResults, percent_of_data, rows_of
from noiseproof.study.tables.notes import luck_in_intervals, mean_over, with_notes


def feature_map_figures(results: StudyResults) -> list[Drawn]:
    """A figure per encoder, task and noise in the labels: principal components and t-SNE, by label."""
    return [_map(row, encoder) for encoder in results.encoders for row in rows_of(encoder, results.maps)]


def curvature_figures(results: StudyResults) -> list[Drawn]:
    """Largest eigenvalue and trace by noise in pre-training; all eigenvalues of each encoder and task."""
    own = {one: rows_of(one, results.curvatures) for one in results.encoders}
    table = pd.DataFrame(
        {
            "encoder": encoder.key, "task": row.task, "seed": row.seed, "head": row.head,
            "noise": row.noise, "place": (row.task, row.share, row.setting), "trace": row.trace,
            "largest": row.eigenvalues[0],
        }
        for encoder, rows in own.items()
        for row in rows
    )  # fmt: skip
    noises = dict.fromkeys(table["noise"]) if len(table) and results.noisy_families else ()
    return [
        *(_overview(results, table, noise) for noise in noises),
        *(
            _detail(encoder, task, [row for row in rows if row.task == task])
            for encoder, rows in own.items()
            for task in dict.fromkeys(row.task for row in rows)
        ),
    ]


def _map(row: MapRow, encoder: Encoder) -> Drawn:
    title = encoder.title if row.backbone == encoder.name else f"{encoder.title} ({row.backbone})"
    given = np.array(row.given)
    clean = None if row.clean is None else np.array(row.clean)
    figure = feature_map_figure(row.map, given, clean, class_names=row.class_names)
    noise = row.noise
    of = row.set_name if noise == "none" else f"{row.set_name}, {_labels(noise)}"
    caption = (
        f"{len(row.rows):,} of the {row.num_examples:,} examples of {of} ({row.task}), as {title} sees them. "
        "By t-SNE only who is near whom means something."
    )
    name = _stem("feature-map", row.backbone, row.layer or "", row.task, noise)
    description = f"Examples in the plane: {title}, {row.task}, {_labels(noise)}"
    return Drawn(name, figure, description, caption, is_detail=True)


def _overview(results: StudyResults, table: pd.DataFrame, noise: str) -> Drawn:
    own = table[table["noise"] == noise]

    def panel(family: str, value: str, name: str) -> Panel:
        encoders = results.noisy(family)
        curves = {head: by_encoder(own[own["head"] == head], encoders, value) for head in results.heads}
        y_label = "nats / unit²" if family == results.noisy_families[0] else ""
        return Panel(f"{family}, {name}", y_label, curves, 1.0, rates_of(encoders))

    figure = curve_panels(
        [
            [panel(family, value, name) for family in results.noisy_families]
            for value, name in (("largest", "largest eigenvalue"), ("trace", "trace"))
        ],
        BY_PRETRAINING,
    )
    caption = with_notes(
        f"Hessian of the loss that each head was trained on, {_labels(noise)}, without its regularisers: "
        "largest eigenvalue and trace, by noise in pre-training. Bars: 95 % intervals over seeds.",
        luck_in_intervals(results),
        mean_over(results, "head", "noise"),
    )
    description = f"Curvature of the loss of the heads by noise in pre-training, {_labels(noise)}"
    return Drawn(_stem("curvature", noise), figure, description, caption)


def _detail(encoder: Encoder, task: str, rows: list[CurvatureRow]) -> Drawn:
    """Eigenvalues of all heads of the first seed, by rank."""
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
    """A head, with as much of its place as distinguishes it from the others."""
    parts = [row.head] if row.noise_kind is None else [row.head, f"{row.noise_kind} {row.noise_rate:g}"]
    if len({one.share for one in rows}) > 1:
        parts.append(percent_of_data(row.share))
    if len({one.setting for one in rows}) > 1:
        parts.append(row.setting)
    return ", ".join(parts)


def _labels(noise: str) -> str:
    return "labels as given" if noise == "none" else f"labels with {noise.replace(':', ' ')} noise"


def _stem(*parts: str) -> str:
    return re.sub(r"[^\w.]+", "-", "-".join(filter(None, parts))).strip("-")
