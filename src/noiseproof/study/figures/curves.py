"""Curves over a rate of noise: accuracy, spectra and curvature of heads, average precision of detectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from noiseproof.study.axes import Encoder
from noiseproof.study.figures.drawing import Drawn, Panel, Points, curve_panels
from noiseproof.study.study_results import StudyResults, over_seeds, percent_of_data, select
from noiseproof.study.tables.detector_tables import notes_of_detections
from noiseproof.study.tables.notes import (
    DOMAINS,
    chosen_noise,
    incomplete,
    luck_in_intervals,
    mean_over,
    with_notes,
)

BY_PRETRAINING = "noise in pre-training in %"
_OTHERS = 6  # detectors beside the first; more have no colours of their own


def influence_figure(results: StudyResults) -> list[Drawn]:
    """Accuracy in and out of domain by noise in pre-training, a line per share of the data (Figure 2)."""
    families, domains = results.noisy_families, results.domains
    if not families or not domains:
        return []
    head, noise = results.heads[0], results.least_label_noise

    def panel(family: str, domain: str) -> Panel:
        own = results.select(family=family, domain=domain, head=head, noise=noise)
        by_share = curves_by(own, "share", results.values("share"), "pretraining_noise", "score")
        curves = {percent_of_data(share): points for share, points in by_share.items()}
        y_label = "accuracy in %" if family == families[0] else ""
        return Panel(f"{family}, {DOMAINS[domain]}", y_label, curves, ticks=results.rates(family))

    rows = [[panel(family, domain) for family in families] for domain in domains]
    caption = with_notes(
        f"Accuracy of the head {head}, mean over sets, by the rate of wrong labels in pre-training. Bars: "
        "95 % intervals over seeds.",
        luck_in_intervals(results),
        chosen_noise(results),
        mean_over(results, "share", "head", *(["noise"] if noise else [])),
        incomplete(results),
    )
    description = "Accuracy in and out of domain by noise in pre-training"
    return [Drawn("influence", curve_panels(rows, BY_PRETRAINING), description, caption)]


def methods_figure(results: StudyResults) -> list[Drawn]:
    """F1 and spectrum of the features of every head, by noise in pre-training (Figure 5)."""
    families = results.noisy_families
    shown = [
        (domain, value, name)
        for domain, value, name in (
            ("id", "macro_f1", "F1 in %"), ("id", "entropy_nats", "SVE (nats)"),
            ("ood", "macro_f1", "F1 in %"), ("ood", "largest_ratio", "LSVR"),
        )
        if domain in results.domains and results.head_rows[value].notna().any()
    ]  # fmt: skip
    if not families or not shown:
        return []

    def panel(family: str, column: int) -> Panel:
        domain, value, name = shown[column]
        own = results.select(family=family, domain=domain)
        curves = curves_by(own, "head", results.heads, "pretraining_noise", value)
        return Panel(
            family if column == 0 else "", name, curves, 100.0 if value == "macro_f1" else 1.0,
            results.rates(family), DOMAINS[domain] if family == families[0] else "",
        )  # fmt: skip

    rows = [[panel(family, column) for column in range(len(shown))] for family in families]
    caption = with_notes(
        "By noise in pre-training: F1 of the heads, and entropy (SVE) and largest-singular-value ratio "
        "(LSVR) of the features that reach the classifier. Bars: 95 % intervals over seeds.",
        luck_in_intervals(results),
        mean_over(results, "head"),
        incomplete(results),
    )
    figure = curve_panels(rows, BY_PRETRAINING, width_in=2.9)
    return [Drawn("methods", figure, "F1, SVE and LSVR of the heads by noise in pre-training", caption)]


def label_noise_figure(results: StudyResults) -> list[Drawn]:
    """Accuracy in domain by the rate of noise in the labels, a figure per kind."""
    return [_accuracy_curves(results, kind) for kind in results.noise_kinds(results.head_rows)]


def _accuracy_curves(results: StudyResults, kind: str) -> Drawn:
    settings, encoders = results.values("setting"), results.encoders

    def panel(encoder: Encoder, setting: str) -> Panel:
        title = encoder.title if len(settings) == 1 else f"{encoder.title}, {setting}"
        own = results.select(encoder, domain="id", setting=setting)
        own = own[(own["noise_kind"] == kind) | (own["noise"] == "none")]
        curves = curves_by(own, "head", results.heads, "noise_rate", "score")
        return Panel(title, "accuracy in %" if encoder is encoders[0] else "", curves)

    rows = [[panel(encoder, setting) for encoder in encoders] for setting in settings]
    figure = curve_panels(
        rows, f"{kind} noise in the labels in %", height_in=2.8, width_in=3.4, has_common_y=True
    )
    caption = with_notes(
        f"Accuracy in domain by the rate of {kind} noise in the labels of the training set. Bars: 95 % "
        "intervals over seeds.",
        mean_over(results, "head", "noise", "setting"),
        incomplete(results),
    )
    return Drawn(f"label-noise-{kind}", figure, f"Accuracy by {kind} noise in the labels", caption)


def detectors_figure(results: StudyResults) -> list[Drawn]:
    """A figure per kind of noise; with many detectors several, each with the first of the recipe."""
    first, *others = results.detectors or [""]
    parts = [[first, *others[i : i + _OTHERS]] for i in range(0, max(len(others), 1), _OTHERS)]
    return [
        _detector_curves(results, kind, part, f"-{number}" if len(parts) > 1 else "")
        for kind in results.noise_kinds(results.detections)
        for number, part in enumerate(parts, start=1)
    ]


def _detector_curves(results: StudyResults, kind: str, detectors: Sequence[str], suffix: str) -> Drawn:
    rows = select(results.detections, noise_kind=kind)
    row: list[Panel] = []
    for (encoder, task), own in rows.groupby(["encoder", "task"], sort=False):
        title = str(task) if rows["encoder"].nunique() == 1 else f"{task}, {encoder}"
        curves = curves_by(own, "detector", detectors, "noise_rate", "average_precision")
        y_label = "" if row else "average precision in %"
        row.append(Panel(title, y_label, curves, ticks=sorted(set(own["noise_rate"]))))
    figure = curve_panels([row], f"{kind} noise in the labels in %", height_in=3.0, width_in=3.4)
    caption = with_notes(
        f"Average precision of the suspicion by the rate of {kind} noise, on the training set. Bars: 95 % "
        "intervals over seeds.",
        notes_of_detections(results, bold=False)[1:],
    )
    return Drawn(f"detectors-{kind}{suffix}", figure, f"Detectors by {kind} noise in the labels", caption)


def curves_by(
    rows: pd.DataFrame, axis: str, names: Sequence[Any], rate: str, value: str
) -> dict[Any, Points]:
    """Name on an axis of the grid -> means over sets and seeds by a column of rates of noise."""
    by_name = {name: rows[rows[axis] == name].groupby(rate) for name in names}
    return {
        name: [(float(str(at)), over_seeds(own, value)) for at, own in by_rate]
        for name, by_rate in by_name.items()
    }
