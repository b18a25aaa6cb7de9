"""Figures of a study: examples in the plane, and how curved the loss of its heads is.

Views of the released code of Chen, Wang et al. 2024, arXiv:2309.17002 (`pca.py`, `tsne.py`, `hessian.py`).
"""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd

from noiseproof.diagnose.curvature import Curvature
from noiseproof.diagnose.maps import FeatureMap
from noiseproof.report.portraits import curvature_figure, feature_map_figure
from noiseproof.study.axes import Encoder
from noiseproof.study.figures.curves import BY_PRETRAINING, curves_by
from noiseproof.study.figures.drawing import Drawn, Panel, curve_panels
from noiseproof.study.study_results import StudyResults, percent_of_data, select
from noiseproof.study.tables.notes import luck_in_intervals, mean_over, with_notes


def feature_map_figures(results: StudyResults) -> list[Drawn]:
    """A figure per encoder, task and noise in the labels: principal components and t-SNE, by label."""
    return [
        _map(row, encoder)
        for encoder in results.encoders
        for row in select(results.maps, encoder).to_dict("records")
    ]


def curvature_figures(results: StudyResults) -> list[Drawn]:
    """Largest eigenvalue and trace by noise in pre-training; all eigenvalues of each encoder and task."""
    rows = results.curvatures.assign(largest=[values[0] for values in results.curvatures["eigenvalues"]])
    noises = dict.fromkeys(rows["noise"]) if results.noisy_families else ()
    return [
        *(_overview(results, rows[rows["noise"] == noise], noise) for noise in noises),
        *(
            _detail(encoder, str(task), own)
            for encoder in results.encoders
            for task, own in select(rows, encoder).groupby("task", sort=False)
        ),
    ]


def _map(row: dict[Any, Any], encoder: Encoder) -> Drawn:
    title, task, noise = encoder.title, row["task"], row["noise"]
    if row["backbone"] != encoder.name:
        title = f"{title} ({row['backbone']})"
    given = np.array(row["given"])
    clean = None if row["clean"] is None else np.array(row["clean"])
    places = FeatureMap(*(np.array(row[one.name]) for one in fields(FeatureMap)))
    figure = feature_map_figure(places, given, clean, class_names=row["class_names"])
    of = row["set"] if noise == "none" else f"{row['set']}, {_labels(noise)}"
    caption = (
        f"{len(given):,} of the {row['num_examples']:,} examples of {of} ({task}), as {title} sees them. "
        "By t-SNE only who is near whom means something."
    )
    name = _stem("feature-map", row["backbone"], row["layer"] or "", task, noise)
    description = f"Examples in the plane: {title}, {task}, {_labels(noise)}"
    return Drawn(name, figure, description, caption, is_detail=True)


def _overview(results: StudyResults, rows: pd.DataFrame, noise: str) -> Drawn:
    def panel(family: str, value: str, name: str) -> Panel:
        own = select(rows, family=family)
        curves = curves_by(own, "head", results.heads, "pretraining_noise", value)
        y_label = "nats / unit²" if family == results.noisy_families[0] else ""
        return Panel(f"{family}, {name}", y_label, curves, 1.0, results.rates(family))

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


def _detail(encoder: Encoder, task: str, rows: pd.DataFrame) -> Drawn:
    """Eigenvalues of all heads of the first seed, by rank."""
    first = rows[rows["seed"] == rows["seed"].min()]
    heads = {_head(row, rows): _curvature(row) for row in first.to_dict("records")}
    caption = (
        f"{encoder.title} on {task}, heads of the first seed: the largest eigenvalues of the Hessian of the "
        "training loss, and its trace."
    )
    description = f"Hessian eigenvalues of the heads: {encoder.title}, {task}"
    name = _stem("curvature", encoder.name, encoder.layer or "", task)
    return Drawn(name, curvature_figure(heads), description, caption, is_detail=True)


def _curvature(row: dict[Any, Any]) -> Curvature:
    values = {one.name: row[one.name] for one in fields(Curvature)}
    return Curvature(**values | {"eigenvalues": np.array(row["eigenvalues"])})


def _head(row: dict[Any, Any], rows: pd.DataFrame) -> str:
    """A head, with as much of its place as distinguishes it from the others."""
    parts = [row["head"]]
    if row["noise"] != "none":
        parts.append(row["noise"].replace(":", " "))
    if rows["share"].nunique() > 1:
        parts.append(percent_of_data(row["share"]))
    if rows["setting"].nunique() > 1:
        parts.append(row["setting"])
    return ", ".join(parts)


def _labels(noise: str) -> str:
    return "labels as given" if noise == "none" else f"labels with {noise.replace(':', ' ')} noise"


def _stem(*parts: str) -> str:
    return re.sub(r"[^\w.]+", "-", "-".join(filter(None, parts))).strip("-")
