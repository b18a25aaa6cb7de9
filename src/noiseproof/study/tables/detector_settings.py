"""Settings in which detectors are compared: one set of features with one kind of wrong labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from noiseproof.report.tables import INTERVAL_MEANING, ONE_SEED
from noiseproof.study.grid import Grid
from noiseproof.study.measures.detector_measure import DetectorMeasure
from noiseproof.study.study_results import StudyResults, means_within_seeds

AS_GIVEN = "as given"
_BOLD = (
    "Bold: ahead of every other detector, and the 95 % interval of the difference, paired by seed, excludes "
    "zero; detectors with the same result do not count as others."
)
_ONCE = "Without ±: nothing was drawn (labels as given, a detector without random numbers), so it ran once."
_KEYS = ["encoder", "task", "noise"]


@dataclass(frozen=True)
class Setting:
    """One set of features with one kind of wrong labels.

    Attributes:
        encoder, task, noise: as in the columns of `StudyResults.detections`.
        rows: of all detectors and seeds.
    """

    encoder: str
    task: str
    noise: str
    rows: pd.DataFrame

    def of(self, detector: str) -> pd.DataFrame:
        """The rows of one detector."""
        return self._by_detector.get(detector, self.rows.head(0))

    @cached_property
    def _by_detector(self) -> dict[Any, pd.DataFrame]:
        return dict(iter(self.rows.groupby("detector")))

    def differences(self, first: str, other: str, field: str) -> list[float]:
        """Differences of a column of two detectors, for each seed that both have; over settings their mean.

        Thousands of these make a table, so no frames are merged.
        """
        own, others = self._values(first, field), self._values(other, field)
        both = ((*where, own[where] - others[where]) for where in own if where in others)
        return list(means_within_seeds(both).values())

    def _values(self, detector: str, field: str) -> dict[tuple[int, str, tuple], float]:
        """(seed, task, place in the grid) -> known value of a column."""
        columns = self._lists.get(detector, {})
        rows = zip(*(columns.get(name, ()) for name in ("seed", *_KEYS, field)), strict=True)
        return {(seed, place[1], tuple(place)): value for seed, *place, value in rows if pd.notna(value)}

    @cached_property
    def _lists(self) -> dict[Any, dict[Any, list]]:
        return {detector: rows.to_dict("list") for detector, rows in self._by_detector.items()}

    def names(self, results: StudyResults) -> tuple[str, ...]:
        """Words for the setting, with the encoder where there are several."""
        encoders = {one.key: one.title for one in results.encoders}
        encoder = encoders.get(self.encoder, self.encoder)
        names = (self.task, noise_title(results, self.task, self.noise), encoder)
        return names[: len(setting_columns(results))]


def settings(results: StudyResults, *, wrong_only: bool = True) -> Iterator[Setting]:
    """Every encoder, task and noise with results, in the order of the rows; those with wrong labels only."""
    rows = with_truth(results) if wrong_only else results.detections
    if len(rows):
        for (encoder, task, noise), own in rows.groupby(_KEYS, sort=False):
            yield Setting(str(encoder), str(task), str(noise), own)


def setting_columns(results: StudyResults) -> tuple[str, ...]:
    """Columns that name the setting."""
    return ("set", "labels", "encoder")[: 3 if results.detections["encoder"].nunique() > 1 else 2]


def noise_title(results: StudyResults, task: str, noise: str) -> str:
    """Words for the noise in the labels."""
    is_real = noise == "none" and results.recipe.tasks[task].clean_label is not None
    return AS_GIVEN if is_real else noise.replace(":", " ")


def overall_setting(results: StudyResults) -> Setting:
    """All results on wrong labels. Where nothing is drawn, one run stands for every seed's."""
    rows, once = with_truth(results), drawn_once(results)
    places = rows[[*_KEYS, "detector"]].itertuples(index=False, name=None)
    alone = rows[[place in once for place in places]]
    repeated = (alone.assign(seed=seed) for seed in range(1, results.recipe.seeds))
    return Setting("", "mean", "", pd.concat([rows, *repeated]))


def drawn_once(results: StudyResults) -> set[tuple[str, str, str, str]]:
    """Encoder, task, noise and detector where one run stands for all seeds."""
    places = Counter(
        (one.encoder.key, one.task, one.noise_name, str(one.detector))
        for one in DetectorMeasure(Grid(results.recipe)).places()
    )
    return {place for place, num_seeds in places.items() if num_seeds == 1}


def notes_of_detections(results: StudyResults, *, bold: bool = True) -> tuple[str, ...]:
    """Notes below every table of detectors."""
    rows = results.detections
    if rows["seed"].nunique() == 1:
        return (ONE_SEED, *_missing(results))
    once = [_ONCE] if drawn_once(results) else []
    return (INTERVAL_MEANING, *([_BOLD] if bold else []), *once, *_missing(results))


def _missing(results: StudyResults) -> list[str]:
    """A note on settings without results of some detector."""
    names = [
        f"{setting.task}, {noise_title(results, setting.task, setting.noise)}: {', '.join(absent)}"
        for setting in settings(results, wrong_only=False)
        if (absent := [one for one in results.recipe.detectors if not len(setting.of(one))])
    ]
    return [f"Results are missing: {'; '.join(names)}."] if names else []


def with_truth(results: StudyResults) -> pd.DataFrame:
    """Results on labels of which some are wrong."""
    rows = results.detections
    return rows[rows["num_wrong"] > 0] if len(rows) else rows
