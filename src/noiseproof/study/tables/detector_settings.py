"""Where detectors are compared: one set of features with one kind of wrong labels, and what to say beside."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from noiseproof.report.tables import INTERVAL_MEANING, ONE_SEED, Cell, name_cell
from noiseproof.study.grid import Grid, noise_name
from noiseproof.study.measures.detectors import detections
from noiseproof.study.results import Found, encoder_key, means_within_seeds

AS_GIVEN = "as given"
_BOLD = (
    "Bold: ahead of every other detector, and the 95 % interval of the difference, paired by seed, excludes "
    "zero; detectors that say the same are no others."
)
_ONCE = "Without ±: nothing was drawn (labels as given, a detector without random numbers), so it ran once."
_KEYS = ["encoder", "task", "noise"]


@dataclass(frozen=True)
class Setting:
    """One set of features with one kind of wrong labels.

    Attributes:
        encoder, task, noise: as in the columns of `Found.detections`.
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
        """Of a column of two detectors, for each seed that both have; over several settings their mean.

        Thousands of these make a table, so there is no merging of frames.
        """
        own, theirs = self._values(first, field), self._values(other, field)
        both = ((*where, own[where] - theirs[where]) for where in own if where in theirs)
        return list(means_within_seeds(both).values())

    def _values(self, detector: str, field: str) -> dict[tuple[int, str, tuple], float]:
        """(seed, task, place in the grid) -> what is known of a column."""
        columns = self._lists.get(detector, {})
        rows = zip(*(columns.get(name, ()) for name in ("seed", *_KEYS, field)), strict=True)
        return {
            (seed, place[1], tuple(place)): value for seed, *place, value in rows if not _is_unknown(value)
        }

    @cached_property
    def _lists(self) -> dict[Any, dict[Any, list]]:
        return {detector: rows.to_dict("list") for detector, rows in self._by_detector.items()}

    def cells(self, found: Found) -> tuple[Cell, ...]:
        """Its name, with the encoder where there are several."""
        encoders = {encoder_key(one.names[0], one.layer): one.title for one in found.encoders}
        names = (
            self.task,
            told_noise(found, self.task, self.noise),
            encoders.get(self.encoder, self.encoder),
        )
        return tuple(map(name_cell, names[: len(setting_columns(found))]))


def _is_unknown(value: float | None) -> bool:
    return value is None or math.isnan(value)


def settings(found: Found, *, wrong_only: bool = True) -> Iterator[Setting]:
    """Every encoder, task and noise with results, in the order of the rows; those with wrong labels only."""
    rows = with_truth(found) if wrong_only else found.detections
    if len(rows):
        for (encoder, task, noise), own in rows.groupby(_KEYS, sort=False):
            yield Setting(str(encoder), str(task), str(noise), own)


def setting_columns(found: Found) -> tuple[str, ...]:
    """Names of the columns that say the setting."""
    return ("set", "labels", "encoder")[: 3 if found.detections["encoder"].nunique() > 1 else 2]


def told_noise(found: Found, task: str, noise: str) -> str:
    """Of the labels, for people."""
    is_real = noise == "none" and found.recipe.tasks[task].clean_label is not None
    return AS_GIVEN if is_real else noise.replace(":", " ")


def for_every_seed(rows: pd.DataFrame, found: Found) -> pd.DataFrame:
    """Where nothing is drawn one run stands for all seeds: means over settings have it in each of them."""
    once, seeds = drawn_once(found), range(1, found.recipe.seeds)
    alone = rows[[place in once for place in rows[[*_KEYS, "detector"]].itertuples(index=False, name=None)]]
    return pd.concat([rows, *(alone.assign(seed=seed) for seed in seeds)])


def drawn_once(found: Found) -> set[tuple[str, str, str, str]]:
    """Encoder, task, noise and detector of which one run stands for all seeds."""
    places = Counter(
        (encoder_key(one.encoder.names[0], one.encoder.layer), one.task, noise_name(one.noise), one.detector)
        for one in detections(Grid(found.recipe))
    )
    return {place for place, num_seeds in places.items() if num_seeds == 1}


def notes_of_detections(found: Found, *, bold: bool = True) -> tuple[str, ...]:
    """Below every table of detectors."""
    rows = found.detections
    if rows["seed"].nunique() == 1:
        return (ONE_SEED, *_lacking(found))
    once = [_ONCE] if drawn_once(found) else []
    return (INTERVAL_MEANING, *([_BOLD] if bold else []), *once, *_lacking(found))


def _lacking(found: Found) -> list[str]:
    """Settings that some detector lacks."""
    names = [
        f"{setting.task}, {told_noise(found, setting.task, setting.noise)}: {', '.join(lacks)}"
        for setting in settings(found, wrong_only=False)
        if (lacks := [one for one in found.recipe.detectors if not len(setting.of(one))])
    ]
    return [f"Results lack: {'; '.join(names)}."] if names else []


def with_truth(found: Found) -> pd.DataFrame:
    """Results on labels of which some are wrong: elsewhere there is nothing to find."""
    rows = found.detections
    return rows[rows["num_wrong"] > 0] if len(rows) else rows
