"""Tables of detectors: each against the truth, the first against the others, and the gain in accuracy.

They are compared in settings: one set of features with one kind of wrong labels.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import pandas as pd

from noiseproof.evaluate.protocol import Interval, is_positive
from noiseproof.report.tables import INTERVAL_MEANING, NONE, ONE_SEED, Cell, Table, percent, percent_cell
from noiseproof.study.grid import Grid
from noiseproof.study.measures.detector_measure import DetectorMeasure
from noiseproof.study.study_results import StudyResults, differences, select
from noiseproof.study.tables.cells import difference_cell, mean_cells, seconds_cell, study_table

AS_GIVEN = "as given"
Setting = tuple[tuple[str, ...], pd.DataFrame]  # words for it; rows of all detectors and seeds
_BOLD = (
    "Bold: ahead of every other detector, and the 95 % interval of the difference, paired by seed, excludes "
    "zero; detectors with the same result do not count as others."
)
_ONCE = "Without ±: nothing was drawn (labels as given, a detector without random numbers), so it ran once."
_KEYS = ["encoder", "task", "noise"]


def _points(mean: Interval | None) -> Cell:
    return difference_cell(mean.values if mean else ())


def _seconds(mean: Interval | None) -> Cell:
    return seconds_cell(mean.mean if mean else None)


@dataclass(frozen=True)
class DetectorColumn:
    """A quantity of a detector.

    Attributes:
        name: for people.
        field: in the rows.
        show, sign: as in `mean_cells`.
    """

    name: str
    field: str
    show: Callable[[Interval | None], Cell] = percent_cell
    sign: int = 0

    def cells(self, results: StudyResults, rows: pd.DataFrame) -> dict[str, Cell]:
        """Detector with results in a setting -> its mean, bold where it is clearly ahead.

        "auto" has the results of the detector that it chose, so equal ones are no others.
        """
        names = _detectors(results, rows)
        found = mean_cells(
            rows, "detector", names, self.field, show=self.show, sign=self.sign, counts_equals=False
        )
        unknown = set(rows["detector"][rows[self.field].isna()])  # a mean of the rest would mislead
        return found | dict.fromkeys(unknown, Cell(NONE))


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
    body = _by_detector(results, settings(results, wrong_only=False))
    names, columns = (*setting_columns(results), "detector"), [one.name for one in COLUMNS]
    return study_table("Detectors", names, columns, body, (*_MEANINGS, *notes_of_detections(results)))


def arena_kinds_table(results: StudyResults) -> Table:
    """Every detector under every kind of noise, by all metrics, over sets and rates."""
    rows = with_truth(results)
    kinds: list[Setting] = [
        ((AS_GIVEN if kind == "none" else str(kind),), own)
        for kind, own in rows.groupby(rows["noise"].str.partition(":")[0], sort=False)
    ]
    notes = (
        "Means over the rates of a set first, then over sets, both within a seed.",
        *_MEANINGS,
        *notes_of_detections(results),
    )
    names, columns = ("labels", "detector"), [one.name for one in COLUMNS]
    return study_table("Detectors by kind of noise", names, columns, _by_detector(results, kinds), notes)


def arena_summary_table(results: StudyResults) -> Table:
    """Average precision of the suspicion: settings against detectors, and their mean."""

    def cells(rows: pd.DataFrame) -> list[Cell]:
        found = AVERAGE_PRECISION.cells(results, rows)
        return [found.get(detector, Cell(NONE)) for detector in results.detectors]

    names = setting_columns(results)
    body: list[tuple[str | Cell, ...]] = [
        (*setting, percent(float(rows["realised_rate"].mean())), *cells(rows))
        for setting, rows in settings(results)
    ]
    body.append(("mean", *("" for _ in names[1:]), Cell(NONE), *cells(all_settings(results))))
    notes = (
        "Wrong: share of the labels, mean over seeds. Mean: over settings of a set first, then over sets.",
        *notes_of_detections(results),
    )
    return study_table("Average precision in %", names, ("wrong", *results.detectors), body, notes)


def arena_compared_table(results: StudyResults) -> Table:
    """The first detector of the recipe against every other: won and lost settings, and time."""
    first, *others = results.detectors or [""]
    every, overall, body = [rows for _, rows in settings(results)], all_settings(results), []
    for other in others:
        leads = [lead for rows in every if (lead := _lead(rows, first, other))]
        won = [lead for lead in leads if fmean(lead) > 0]
        lost = [[-value for value in lead] for lead in leads if fmean(lead) < 0]
        held = [count for part in (won, lost) for count in (len(part), sum(map(is_positive, part)))]
        body.append(
            (
                f"{first} less {other}",
                *(Cell(str(count), value=count) for count in (len(leads), *held)),
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
    columns = ("settings", "won", "clearly", "lost", "clearly", "mean difference", "time")
    return study_table(f"{first} less the others", ("detectors",), columns, body, notes)


def arena_differences_table(results: StudyResults) -> Table:
    """The first detector of the recipe less every other, setting by setting."""
    first, *others = results.detectors or [""]
    body = [
        (*names, *(difference_cell(_lead(rows, first, one)) for one in others))
        for names, rows in settings(results)
    ]
    notes = (
        f"Points of average precision that {first} has more, paired by seed.",
        *notes_of_detections(results, bold=False),
    )
    title = f"{first} less the others in points of average precision"
    return study_table(title, setting_columns(results), others, body, notes)


def downstream_table(results: StudyResults) -> Table:
    """Accuracy of a linear probe on the test set: trained on all, on the selected, on relabelled examples."""
    body = []
    for names, rows in settings(results, wrong_only=False):
        cells = [one.cells(results, rows) for one in DOWNSTREAM]
        for detector in _detectors(results, rows):
            own = select(rows, detector=detector)
            if own["accuracy_all"].notna().any():
                gains = [(own[one.field] - own["accuracy_all"]).dropna() for one in DOWNSTREAM[1:]]
                shown = (*(column[detector] for column in cells), *map(difference_cell, map(list, gains)))
                body.append((*names, detector, *shown))
    notes = (
        "In %, against true labels where they are known; nothing was chosen by it. Selected: without the "
        "flagged. Relabelled: the flagged with the suggested label.",
        "Gains are points above the probe that learned all labels as given, paired by seed.",
        *notes_of_detections(results),
    )
    gained = [f"{one.name} less all" for one in DOWNSTREAM[1:]]
    names, columns = (*setting_columns(results), "detector"), (*(one.name for one in DOWNSTREAM), *gained)
    return study_table("Accuracy after detection", names, columns, body, notes)


ARENA_TABLES: dict[str, Callable[[StudyResults], Table]] = {
    "arena": arena_table,
    "arena-kinds": arena_kinds_table,
    "arena-summary": arena_summary_table,
    "arena-compared": arena_compared_table,
    "arena-differences": arena_differences_table,
    "downstream": downstream_table,
}


def _by_detector(results: StudyResults, places: Iterable[Setting]) -> Iterator[tuple[str | Cell, ...]]:
    """A row per setting and detector with results in it, by all metrics."""
    for names, rows in places:
        cells = [one.cells(results, rows) for one in COLUMNS]
        for detector in _detectors(results, rows):
            yield (*names, detector, *(column[detector] for column in cells))


def _detectors(results: StudyResults, rows: pd.DataFrame) -> list[str]:
    """Detectors that some rows are of."""
    existing = set(rows["detector"])
    return [name for name in results.detectors if name in existing]


def _lead(rows: pd.DataFrame, first: str, other: str) -> list[float]:
    """Average precision of one detector less another's, for each seed that both have."""
    return list(differences(rows, AVERAGE_PRECISION.field, "detector", first, other).values())


def _time_ratio(places: Sequence[pd.DataFrame], first: str, other: str) -> Cell:
    """CPU seconds of the other divided by those of the first, geometric mean."""
    means = [rows.groupby("detector")["cpu_s"].mean() for rows in places]
    ratios = [math.log(mean[other] / mean[first]) for mean in means if first in mean and other in mean]
    if not ratios:
        return Cell(NONE)
    ratio = math.exp(fmean(ratios))
    return Cell(f"{ratio:.1f}", value=ratio)


def settings(results: StudyResults, *, wrong_only: bool = True) -> Iterator[Setting]:
    """Every encoder, task and noise with results, in the order of the rows; those with wrong labels only."""
    titles = {one.key: one.title for one in results.encoders}
    for key, own in (with_truth(results) if wrong_only else results.detections).groupby(_KEYS, sort=False):
        encoder, task, noise = map(str, key)
        names = (task, noise_title(results, task, noise), titles[encoder])
        yield names[: len(setting_columns(results))], own


def setting_columns(results: StudyResults) -> tuple[str, ...]:
    """Columns that name the setting, with the encoder where there are several."""
    return ("set", "labels", "encoder")[: 3 if results.detections["encoder"].nunique() > 1 else 2]


def noise_title(results: StudyResults, task: str, noise: str) -> str:
    """Words for the noise in the labels."""
    is_real = noise == "none" and results.recipe.tasks[task].clean_label is not None
    return AS_GIVEN if is_real else noise.replace(":", " ")


def all_settings(results: StudyResults) -> pd.DataFrame:
    """All results on wrong labels. Where nothing is drawn, one run stands for every seed's."""
    rows, once = with_truth(results), drawn_once(results)
    places = rows[[*_KEYS, "detector"]].itertuples(index=False, name=None)
    alone = rows[[place in once for place in places]]
    repeated = (alone.assign(seed=seed) for seed in range(1, results.recipe.seeds))
    return pd.concat([rows, *repeated])


def drawn_once(results: StudyResults) -> set[tuple[str, str, str, str]]:
    """Encoder, task, noise and detector where one run stands for all seeds."""
    places = Counter(
        (one.encoder.key, one.task, one.noise_name, str(one.detector))
        for one in DetectorMeasure(Grid(results.recipe)).places()
    )
    return {place for place, num_seeds in places.items() if num_seeds == 1}


def notes_of_detections(results: StudyResults, *, bold: bool = True) -> tuple[str, ...]:
    """Notes below every table of detectors."""
    if results.detections["seed"].nunique() == 1:
        return (ONE_SEED, *_missing(results))
    once = [_ONCE] if drawn_once(results) else []
    return (INTERVAL_MEANING, *([_BOLD] if bold else []), *once, *_missing(results))


def _missing(results: StudyResults) -> list[str]:
    """A note on settings without results of some detector."""
    names = [
        f"{task}, {noise}: {', '.join(absent)}"
        for (task, noise, *_), rows in settings(results, wrong_only=False)
        if (absent := [one for one in results.recipe.detectors if one not in set(rows["detector"])])
    ]
    return [f"Results are missing: {'; '.join(names)}."] if names else []


def with_truth(results: StudyResults) -> pd.DataFrame:
    """Results on labels of which some are wrong."""
    return results.detections[results.detections["num_wrong"] > 0]
