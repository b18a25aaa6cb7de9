"""Tables of detectors: each against the truth, the first against the others, and the gain in accuracy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from noiseproof.evaluate.protocol import Interval, is_positive
from noiseproof.report.tables import NONE, Cell, Table, percent_cell
from noiseproof.study.study_results import StudyResults, over_seeds
from noiseproof.study.tables.cells import difference_cell, seconds_cell, study_table
from noiseproof.study.tables.detector_settings import (
    AS_GIVEN,
    Setting,
    notes_of_detections,
    overall_setting,
    setting_columns,
    settings,
    with_truth,
)


@dataclass(frozen=True)
class DetectorColumn:
    """A quantity of a detector.

    Attributes:
        name: for people.
        field: in the rows.
        show: an interval -> a cell.
        sign: 1 where more is better, -1 where less is; 0 where neither alone is a virtue, and none is bold.
    """

    name: str
    field: str
    show: Callable[[Interval | None], Cell] = percent_cell
    sign: int = 0

    def cell(self, results: StudyResults, setting: Setting, detector: str) -> Cell:
        """The mean of one detector in a setting, bold where it is clearly ahead."""
        rows = setting.of(detector)
        if rows[self.field].isna().any():  # a mean of the rest would be of something else
            return Cell(NONE)
        is_best = bool(self.sign) and self._is_ahead(results, setting, detector)
        return replace(self.show(over_seeds(rows, self.field)), is_best=is_best)

    def _is_ahead(self, results: StudyResults, setting: Setting, detector: str) -> bool:
        """Whether it is ahead of all with other results: "auto" has those of the detector it chose."""
        others = [other for other in results.detectors if other != detector and len(setting.of(other))]
        leads = [setting.differences(detector, other, self.field) for other in others]
        leads = [[self.sign * value for value in lead] for lead in leads if not lead or any(lead)]
        return bool(leads) and all(map(is_positive, leads))


def _points(mean: Interval | None) -> Cell:
    return Cell(NONE) if mean is None else difference_cell(mean.values)


def _seconds(mean: Interval | None) -> Cell:
    return seconds_cell(None if mean is None else mean.mean)


AVERAGE_PRECISION = DetectorColumn("average precision", "average_precision", sign=1)
COLUMNS = (
    AVERAGE_PRECISION,
    DetectorColumn("AUROC", "auroc", sign=1),
    DetectorColumn("precision", "precision"),
    DetectorColumn("recall", "recall"),
    DetectorColumn("F1", "f1", sign=1),
    DetectorColumn("clean precision", "clean_precision"),
    DetectorColumn("clean recall", "clean_recall"),
    DetectorColumn("at 1 %", "precision_at_1", sign=1),
    DetectorColumn("at 5 %", "precision_at_5", sign=1),
    DetectorColumn("at 10 %", "precision_at_10", sign=1),
    DetectorColumn("rate error", "rate_error", _points),
    DetectorColumn("transition error", "transition_error", sign=-1),
    DetectorColumn("calibration error", "calibration_error", sign=-1),
    DetectorColumn("s", "wall_s", _seconds),
    DetectorColumn("CPU s", "cpu_s", _seconds),
)
_MEANINGS = (
    "In %, over the whole training set. Precision, recall, F1: of the flagged; clean: of the rest.",
    "At 1, 5, 10 %: precision of so many with the highest suspicion. Rate error: estimated less true "
    "share of wrong labels, in points. Transition error: half the sum of absolute differences of a row.",
    "s: wall time of the detector, with the features in memory; CPU s: of all its threads, which other "
    "work on the machine hardly changes.",
)
DOWNSTREAM = (
    DetectorColumn("all", "accuracy_all"),
    DetectorColumn("selected", "accuracy_selected", sign=1),
    DetectorColumn("relabelled", "accuracy_relabelled", sign=1),
)


def arena_table(results: StudyResults) -> Table:
    """Every detector in every setting, by all metrics."""
    body = [
        (*setting.names(results), detector, *(one.cell(results, setting, detector) for one in COLUMNS))
        for setting, detector in _pairs(results, settings(results, wrong_only=False))
    ]
    columns = (*setting_columns(results), "detector", *(one.name for one in COLUMNS))
    notes = (*_MEANINGS, *notes_of_detections(results))
    num_text = len(setting_columns(results)) + 1
    return study_table("Detectors", columns, body, notes, num_text_columns=num_text)


def arena_kinds_table(results: StudyResults) -> Table:
    """Every detector under every kind of noise, by all metrics, over sets and rates."""
    rows = with_truth(results)
    kinds = [
        Setting("", "", AS_GIVEN if kind == "none" else str(kind), own)
        for kind, own in rows.groupby(rows["noise"].str.partition(":")[0], sort=False)
    ]
    body = [
        (setting.noise, detector, *(one.cell(results, setting, detector) for one in COLUMNS))
        for setting, detector in _pairs(results, kinds)
    ]
    notes = (
        "Means over the rates of a set first, then over sets, both within a seed.",
        *_MEANINGS,
        *notes_of_detections(results),
    )
    columns = ("labels", "detector", *(one.name for one in COLUMNS))
    return study_table("Detectors by kind of noise", columns, body, notes, num_text_columns=2)


def arena_summary_table(results: StudyResults) -> Table:
    """Average precision of the suspicion: settings against detectors, and their mean."""

    def cells(setting: Setting) -> list[Cell]:
        return [AVERAGE_PRECISION.cell(results, setting, detector) for detector in results.detectors]

    names = setting_columns(results)
    body: list[tuple[str | Cell, ...]] = []
    for setting in settings(results):
        wrong = percent_cell(Interval(float(setting.rows["realised_rate"].mean()), None, ()))
        body.append((*setting.names(results), wrong, *cells(setting)))
    body.append(("mean", *("" for _ in names[1:]), Cell(NONE), *cells(overall_setting(results))))
    notes = (
        "Wrong: share of the labels, mean over seeds. Mean: over settings of a set first, then over sets.",
        *notes_of_detections(results),
    )
    columns = (*names, "wrong", *results.detectors)
    return study_table("Average precision in %", columns, body, notes, num_text_columns=len(names))


def arena_compared_table(results: StudyResults) -> Table:
    """The first detector of the recipe against every other: won and lost settings, and time."""
    first, *others = results.detectors or [""]
    overall, every, body = overall_setting(results), list(settings(results)), []
    for other in others:
        differences = [values for setting in every if (values := _lead(setting, first, other))]
        won = [values for values in differences if fmean(values) > 0]
        lost = [[-value for value in values] for values in differences if fmean(values) < 0]
        held = [count for part in (won, lost) for count in (len(part), sum(map(is_positive, part)))]
        body.append(
            (
                f"{first} less {other}",
                *(Cell(str(count), value=count) for count in (len(differences), *held)),
                difference_cell(_lead(overall, first, other), digits=2),
                _time_ratio(every, first, other),
            )
        )
    notes = (
        f"Settings with wrong labels in which the average precision of {first} is above the other's, and "
        "below, by means over seeds; clearly: the 95 % interval of the difference, paired by seed, excludes "
        "zero.",
        "Mean difference: of average precision, in points, over the settings of a set first, then over sets, "
        "both within a seed.",
        f"Time: CPU seconds of the other divided by those of {first}, geometric mean over the settings.",
        *notes_of_detections(results, bold=False),
    )
    names = ("settings", "won", "clearly", "lost", "clearly", "mean difference", "time")
    return study_table(f"{first} less the others", ("detectors", *names), body, notes)


def arena_differences_table(results: StudyResults) -> Table:
    """The first detector of the recipe less every other, setting by setting."""
    first, *others = results.detectors or [""]
    body = [
        (*setting.names(results), *(difference_cell(_lead(setting, first, one)) for one in others))
        for setting in settings(results)
    ]
    notes = (
        f"Points of average precision that {first} has more, paired by seed.",
        *notes_of_detections(results, bold=False),
    )
    names = setting_columns(results)
    title = f"{first} less the others in points of average precision"
    return study_table(title, (*names, *others), body, notes, num_text_columns=len(names))


def downstream_table(results: StudyResults) -> Table:
    """Accuracy of a linear probe on the test set: trained on all, on the selected, on relabelled examples."""
    body = []
    for setting, detector in _pairs(results, settings(results, wrong_only=False)):
        rows = setting.of(detector)
        if rows["accuracy_all"].notna().any():
            cells = [one.cell(results, setting, detector) for one in DOWNSTREAM]
            gains = [(rows[one.field] - rows["accuracy_all"]).dropna() for one in DOWNSTREAM[1:]]
            body.append((*setting.names(results), detector, *cells, *map(difference_cell, map(list, gains))))
    notes = (
        "In %, against true labels where they are known; nothing was chosen by it. Selected: without the "
        "flagged. Relabelled: the flagged with the suggested label.",
        "Gains are points above the probe that learned all labels as given, paired by seed.",
        *notes_of_detections(results),
    )
    gained = [f"{one.name} less all" for one in DOWNSTREAM[1:]]
    columns = (*setting_columns(results), "detector", *(one.name for one in DOWNSTREAM), *gained)
    num_text = len(setting_columns(results)) + 1
    return study_table("Accuracy after detection", columns, body, notes, num_text_columns=num_text)


ARENA_TABLES: dict[str, Callable[[StudyResults], Table]] = {
    "arena": arena_table,
    "arena-kinds": arena_kinds_table,
    "arena-summary": arena_summary_table,
    "arena-compared": arena_compared_table,
    "arena-differences": arena_differences_table,
    "downstream": downstream_table,
}


def _pairs(results: StudyResults, places: Iterable[Setting]) -> list[tuple[Setting, str]]:
    """Settings and the detectors with results in them."""
    return [(one, name) for one in places for name in results.detectors if len(one.of(name))]


def _lead(setting: Setting, first: str, other: str) -> list[float]:
    """Average precision of one detector less another's, for each seed that both have."""
    return setting.differences(first, other, AVERAGE_PRECISION.field)


def _time_ratio(places: Sequence[Setting], first: str, other: str) -> Cell:
    """CPU seconds of the other divided by those of the first, geometric mean."""
    ratios = [
        math.log(setting.of(other)["cpu_s"].mean() / setting.of(first)["cpu_s"].mean())
        for setting in places
        if len(setting.of(first)) and len(setting.of(other))
    ]
    if not ratios:
        return Cell(NONE)
    ratio = math.exp(fmean(ratios))
    return Cell(f"{ratio:.1f}", value=ratio)
