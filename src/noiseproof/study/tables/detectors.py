"""Tables of a study's detectors: each against the truth, the first against the others, and what is gained."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import pandas as pd

from noiseproof.evaluate.protocol import Interval, is_positive
from noiseproof.report.tables import NONE, Cell, Table, name_cell, percent_cell
from noiseproof.study.results import Found, over_seeds
from noiseproof.study.tables.detector_settings import (
    AS_GIVEN,
    Setting,
    for_every_seed,
    notes_of_detections,
    setting_columns,
    settings,
    with_truth,
)
from noiseproof.study.tables.differences import difference_cell


@dataclass(frozen=True)
class Column:
    """A quantity of the arena.

    Attributes:
        name: for people.
        field: in the rows.
        show: an interval -> a cell.
        sign: 1 where more is better, -1 where less is; 0 where neither alone is a virtue, and none is bold.
    """

    name: str
    field: str
    show: Callable[..., Cell] = percent_cell
    sign: int = 0


def _points(found: Interval | None, *, is_best: bool = False) -> Cell:
    return Cell(NONE) if found is None else difference_cell(found.values)


def _seconds(found: Interval | None, *, is_best: bool = False) -> Cell:
    return Cell(NONE) if found is None else Cell(f"{found.mean:,.2f}", value=found.mean)


COLUMNS = (
    Column("average precision", "average_precision", sign=1),
    Column("AUROC", "auroc", sign=1),
    Column("precision", "precision"),
    Column("recall", "recall"),
    Column("F1", "f1", sign=1),
    Column("clean precision", "clean_precision"),
    Column("clean recall", "clean_recall"),
    Column("at 1 %", "precision_at_1", sign=1),
    Column("at 5 %", "precision_at_5", sign=1),
    Column("at 10 %", "precision_at_10", sign=1),
    Column("rate error", "rate_error", _points),
    Column("transition error", "transition_error", sign=-1),
    Column("calibration error", "calibration_error", sign=-1),
    Column("s", "wall_s", _seconds),
    Column("CPU s", "cpu_s", _seconds),
)
_MEANINGS = (
    "In %, over the whole training set. Precision, recall, F1: of the flagged; clean: of the rest.",
    "At 1, 5, 10 %: precision of so many with the highest suspicion. Rate error: estimated less true "
    "share of wrong labels, in points. Transition error: half the sum of absolute differences of a row.",
    "s: wall time of the detector, with the features in memory; CPU s: of all its threads, which other "
    "work on the machine hardly changes.",
)
DOWNSTREAM = (
    Column("all", "accuracy_all"),
    Column("selected", "accuracy_selected", sign=1),
    Column("relabelled", "accuracy_relabelled", sign=1),
)


def arena_table(found: Found) -> Table:
    """Every detector in every setting, by all metrics."""
    body = [
        (
            *setting.cells(found),
            name_cell(detector),
            *(_cell(setting, detector, found, one) for one in COLUMNS),
        )
        for setting in settings(found, wrong_only=False)
        for detector in found.detectors
        if len(setting.of(detector))
    ]
    notes = (*_MEANINGS, *notes_of_detections(found))
    columns = (*setting_columns(found), "detector", *(one.name for one in COLUMNS))
    return Table("Detectors", columns, tuple(body), notes, num_text_columns=len(setting_columns(found)) + 1)


def arena_kinds_table(found: Found) -> Table:
    """Every detector under every kind of noise, by all metrics, over sets and rates."""
    rows, body = with_truth(found), []
    for kind, own in rows.groupby(rows["noise"].str.partition(":")[0], sort=False):
        setting = Setting("", "", str(kind), own)
        told = AS_GIVEN if kind == "none" else str(kind)
        body += [
            (name_cell(told), name_cell(name), *(_cell(setting, name, found, one) for one in COLUMNS))
            for name in found.detectors
            if len(setting.of(name))
        ]
    notes = (
        "Means over the rates of a set first, then over sets, both within a seed.",
        *_MEANINGS,
        *notes_of_detections(found),
    )
    columns = ("labels", "detector", *(one.name for one in COLUMNS))
    return Table("Detectors by kind of noise", columns, tuple(body), notes, num_text_columns=2)


def arena_summary_table(found: Found) -> Table:
    """Average precision of the suspicion: settings against detectors, and their mean."""
    column = COLUMNS[0]
    body = [
        (
            *setting.cells(found), _wrong(setting.rows),
            *(_cell(setting, detector, found, column) for detector in found.detectors),
        )
        for setting in settings(found)
    ]  # fmt: skip
    everything = Setting("", "mean", "", for_every_seed(with_truth(found), found))
    blank = [name_cell("mean"), *(name_cell("") for _ in setting_columns(found)[1:]), Cell(NONE)]
    body.append((*blank, *(_cell(everything, detector, found, column) for detector in found.detectors)))
    notes = (
        "Wrong: share of the labels, mean over seeds. Mean: over settings of a set first, then over sets.",
        *notes_of_detections(found),
    )
    columns = (*setting_columns(found), "wrong", *found.detectors)
    num_text = len(setting_columns(found))
    return Table("Average precision in %", columns, tuple(body), notes, num_text_columns=num_text)


def arena_compared_table(found: Found) -> Table:
    """The first detector of the recipe against every other: won and lost settings, and time."""
    first, *others = found.detectors or [""]
    everything = Setting("", "mean", "", for_every_seed(with_truth(found), found))
    places, body = list(settings(found)), []
    for other in others:
        per_setting = [differences(setting, first, other) for setting in places]
        won = [values for values in per_setting if values and fmean(values) > 0]
        lost = [values for values in per_setting if values and fmean(values) < 0]
        body.append(
            (
                name_cell(f"{first} less {other}"),
                *_counts(sum(map(bool, per_setting)), won, sign=1),
                *_counts(None, lost, sign=-1),
                difference_cell(differences(everything, first, other), digits=2),
                _ratio(places, first, other),
            )
        )
    notes = (
        f"Settings with wrong labels in which the average precision of {first} is above the other's, and "
        "below, by means over seeds; clearly: the 95 % interval of the difference, paired by seed, excludes "
        "zero.",
        "Mean difference: of average precision, in points, over the settings of a set first, then over sets, "
        "both within a seed.",
        f"Time: CPU seconds of the other divided by those of {first}, geometric mean over the settings.",
        *notes_of_detections(found, bold=False),
    )
    names = ("settings", "won", "clearly", "lost", "clearly", "mean difference", "time")
    return Table(f"{first} less the others", ("detectors", *names), tuple(body), notes)


def arena_differences_table(found: Found) -> Table:
    """The first detector of the recipe less every other, setting by setting."""
    first, *others = found.detectors or [""]
    body = [
        (*setting.cells(found), *(difference_cell(differences(setting, first, one)) for one in others))
        for setting in settings(found)
    ]
    notes = (
        f"Points of average precision that {first} has more, paired by seed.",
        *notes_of_detections(found, bold=False),
    )
    columns = (*setting_columns(found), *others)
    num_text = len(setting_columns(found))
    title = f"{first} less the others in points of average precision"
    return Table(title, columns, tuple(body), notes, num_text_columns=num_text)


def downstream_table(found: Found) -> Table:
    """Accuracy of a linear probe on the test set: trained on all, on the selected, on relabelled examples."""
    body = [
        (
            *setting.cells(found), name_cell(detector),
            *(_cell(setting, detector, found, one) for one in DOWNSTREAM),
            *(_gain(setting.of(detector), one.field) for one in DOWNSTREAM[1:]),
        )
        for setting in settings(found, wrong_only=False)
        for detector in found.detectors
        if len(setting.of(detector)) and setting.of(detector)["accuracy_all"].notna().any()
    ]  # fmt: skip
    notes = (
        "In %, against true labels where they are known; nothing was chosen by it. Selected: without the "
        "flagged. Relabelled: the flagged with the suggested label.",
        "Gains are points above the probe that learned all labels as given, paired by seed.",
        *notes_of_detections(found),
    )
    gains = [f"{one.name} less all" for one in DOWNSTREAM[1:]]
    columns = (*setting_columns(found), "detector", *(one.name for one in DOWNSTREAM), *gains)
    num_text = len(setting_columns(found)) + 1
    return Table("Accuracy after detection", columns, tuple(body), notes, num_text_columns=num_text)


ARENA_TABLES: dict[str, Callable[[Found], Table]] = {
    "arena": arena_table,
    "arena-kinds": arena_kinds_table,
    "arena-summary": arena_summary_table,
    "arena-compared": arena_compared_table,
    "arena-differences": arena_differences_table,
    "downstream": downstream_table,
}


def differences(setting: Setting, first: str, other: str) -> list[float]:
    """Average precision of one detector less another's, for each seed that both have."""
    return setting.differences(first, other, "average_precision")


def _cell(setting: Setting, detector: str, found: Found, column: Column) -> Cell:
    if setting.of(detector)[column.field].isna().any():  # a mean of the rest would be of something else
        return Cell(NONE)
    is_best = bool(column.sign) and _is_ahead(setting, detector, found, column)
    return column.show(over_seeds(setting.of(detector), column.field), is_best=is_best)


def _is_ahead(setting: Setting, detector: str, found: Found, column: Column) -> bool:
    """Of all that say something else: "auto" says what the one it chose does."""
    others = [other for other in found.detectors if other != detector and len(setting.of(other))]
    leads = [setting.differences(detector, other, column.field) for other in others]
    leads = [[column.sign * value for value in lead] for lead in leads if not lead or any(lead)]
    return bool(leads) and all(map(is_positive, leads))


def _counts(num: int | None, held: Sequence[Sequence[float]], *, sign: int) -> list[Cell]:
    """How many settings there are, where that is told, how many were held, and how many of them clearly."""
    clearly = sum(is_positive([sign * value for value in values]) for values in held)
    return [Cell(str(count), value=count) for count in (num, len(held), clearly) if count is not None]


def _ratio(places: Sequence[Setting], first: str, other: str) -> Cell:
    """How many times the CPU seconds of the first the other takes."""
    pairs = [
        (setting.of(first)["cpu_s"].mean(), setting.of(other)["cpu_s"].mean())
        for setting in places
        if len(setting.of(first)) and len(setting.of(other))
    ]
    if not pairs:
        return Cell(NONE)
    ratio = float(pd.Series([theirs / own for own, theirs in pairs]).map(math.log).mean())
    return Cell(f"{math.exp(ratio):.1f}", value=math.exp(ratio))


def _gain(own: pd.DataFrame, field: str) -> Cell:
    gains = (own[field] - own["accuracy_all"]).dropna()
    return difference_cell(list(gains))


def _wrong(rows: pd.DataFrame) -> Cell:
    return percent_cell(Interval(float(rows["realised_rate"].mean()), None, ()))
