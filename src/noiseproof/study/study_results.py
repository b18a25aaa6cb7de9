"""The results of a study beside its recipe, and their means: within a seed first, then over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from noiseproof.backbones.bundled.zoo_cards import zoo_card
from noiseproof.evaluate.protocol import Interval, interval
from noiseproof.study.axes import Encoder
from noiseproof.study.recipe import StudyRecipe
from noiseproof.study.rows import (
    CurvatureRow,
    DetectionRow,
    HeadRow,
    MapRow,
    NoisyRow,
    SpectrumRow,
    StudyRow,
)

Places = Mapping[tuple[int, str, tuple], float]  # seed, task, rest of the place in the grid -> value
_ZOO = "zoo:"
_AXES = ("encoder", "set", "share", "noise", "head", "setting", "detector")  # beside task and seed
_TRAINING = ("encoder", "task", "share", "noise", "head", "setting", "seed")


@dataclass(frozen=True, eq=False)
class StudyResults:
    """A study's results beside its recipe, for tables and figures.

    Each frame has a line per row of its kind, as on disk, with the `encoder` that it counts as, the encoder's
    `family` and `pretraining_noise`, and `noise` as "kind:rate" or "none".

    Attributes:
        recipe: of the study.
        head_rows: lines of `HeadRow`, with `score`, the metric that counts for its task.
        spectra: lines of `SpectrumRow`; the `seed` is the number of the encoder's repeat.
        maps: lines of `MapRow`.
        curvatures: lines of `CurvatureRow`.
        detections: lines of `DetectionRow`.
    """

    recipe: StudyRecipe
    head_rows: pd.DataFrame
    spectra: pd.DataFrame
    maps: pd.DataFrame
    curvatures: pd.DataFrame
    detections: pd.DataFrame

    @property
    def num_results(self) -> int:
        """Results of heads, tunings and detectors."""
        return len(self.head_rows) + len(self.detections)

    @cached_property
    def encoders(self) -> list[Encoder]:
        """Encoders with results, in the order of the recipe."""
        existing = {
            key for rows in (self.head_rows, self.spectra, self.detections) for key in rows["encoder"]
        }
        return [one for one in self.recipe.backbones if one.key in existing]

    @property
    def families(self) -> list[str]:
        """Families of the encoders with results, in the order of the recipe."""
        return list(dict.fromkeys(one.family for one in self.encoders))

    @property
    def noisy_families(self) -> list[str]:
        """Families with encoders of at least two rates of noise."""
        return [family for family in self.families if len(self.noisy(family)) > 1]

    @property
    def domains(self) -> list[str]:
        """Domains with results, in domain first."""
        return [domain for domain in ("id", "ood") if domain in self.values("domain")]

    @property
    def heads(self) -> list[str]:
        """Heads and tunings with results, in the order of the recipe."""
        existing = self.values("head")
        return [name for name in (*self.recipe.heads, *self.recipe.tunings) if name in existing]

    @property
    def detectors(self) -> list[str]:
        """Detectors with results, in the order of the recipe."""
        existing = set(self.detections["detector"])
        return [name for name in self.recipe.detectors if name in existing]

    def noise_kinds(self, rows: pd.DataFrame) -> list[str]:
        """Kinds of noise in the labels that some rows have, in the order of the recipe."""
        existing = set(rows["noise_kind"])
        return [kind for kind in dict.fromkeys(one.kind for one in self.recipe.noises) if kind in existing]

    @property
    def least_label_noise(self) -> str | None:
        """Noise in the labels of results about pre-training: "none" if it exists, else `None`, every one."""
        return "none" if "none" in self.values("noise") else None

    def clean_key(self, family: str) -> str | None:
        """Key of the encoder of a family without noise, if it has results; others are compared with it."""
        return next((one.key for one in self.noisy(family) if one.noise == 0), None)

    def noisy(self, family: str) -> list[Encoder]:
        """Encoders of a family whose pre-training noise is known, the cleanest first."""
        known = [one for one in self.encoders if one.family == family and one.noise is not None]
        return sorted(known, key=lambda one: one.noise or 0.0)

    def rates(self, *families: str) -> list[float]:
        """Rates of noise in the pre-training of encoders of some families, ascending."""
        return sorted({one.noise or 0.0 for family in families for one in self.noisy(family)})

    def values(self, column: str) -> list:
        """Distinct values of a column of `head_rows`, in the order of the rows."""
        return list(dict.fromkeys(self.head_rows[column]))

    @property
    def tasks(self) -> list[str]:
        """Tasks with results of heads, tunings or detectors."""
        return list(dict.fromkeys([*self.head_rows["task"], *self.detections["task"]]))

    def select(self, encoder: Encoder | None = None, **wanted: object) -> pd.DataFrame:
        """The lines of `head_rows` with these values; `None` is every one."""
        return select(self.head_rows, encoder, **wanted)

    def training_s(self) -> list[float]:
        """Seconds of every training and every run of a detector."""
        return [*self.trained()["fit_s"], *self.detections["wall_s"]]

    def trained(self, task: str | None = None) -> pd.DataFrame:
        """A line per training of a task: a head is trained once, however many sets it is evaluated on."""
        return self.select(task=task).drop_duplicates(list(_TRAINING))

    def pretraining_accuracy(self, encoder: Encoder) -> float | None:
        """Accuracy in the recipe, else in the cards of zoo encoders; mean over the repeats with results."""
        if encoder.accuracy is not None:
            return encoder.accuracy
        names = dict.fromkeys(select(self.spectra, encoder)["backbone"])
        known = [zoo_card(name.removeprefix(_ZOO)).result[1] for name in names if name.startswith(_ZOO)]
        return fmean(known) if known else None


def collect_results(rows: Iterable[StudyRow], recipe: StudyRecipe) -> StudyResults:
    """Collect rows of a study and add their encoder's family and noise from the recipe."""
    encoders = {(name, one.layer): one for one in recipe.backbones for name in one.names}
    lines: dict[type[StudyRow], list[dict[str, Any]]] = {}
    for row in rows:
        encoder = encoders[row.backbone, row.layer]
        about = {"encoder": encoder.key, "family": encoder.family, "pretraining_noise": encoder.noise}
        if isinstance(row, NoisyRow):
            about["noise"] = row.noise
        if isinstance(row, HeadRow):
            about["score"] = row.metrics[recipe.tasks[row.task].metric]
        if isinstance(row, SpectrumRow):
            about["seed"] = encoder.names.index(row.backbone)
        lines.setdefault(type(row), []).append(row.to_json() | about)
    kinds = (HeadRow, SpectrumRow, MapRow, CurvatureRow, DetectionRow)
    return StudyResults(recipe, *(_frame(lines.get(kind, []), kind) for kind in kinds))


def _frame(lines: list[dict[str, Any]], kind: type[StudyRow]) -> pd.DataFrame:
    if not lines:
        return pd.DataFrame(columns=[*dict.fromkeys((*kind.columns(), "encoder", "noise", "seed", "score"))])
    frame = pd.DataFrame(lines)
    texts: pd.DataFrame = frame.select_dtypes("string")  # as Python's: tables read them value by value
    frame[texts.columns] = texts.astype(object).where(texts.notna(), None)
    return frame.copy()  # in as few blocks as there are types, so that rows are taken quickly


def select(rows: pd.DataFrame, encoder: Encoder | None = None, **wanted: object) -> pd.DataFrame:
    """The lines of an encoder with these values of columns; `None` is every one."""
    key = None if encoder is None else encoder.key
    is_wanted = np.ones(len(rows), bool)  # rows are taken once: tables ask thousands of times
    for column, value in {"encoder": key, **wanted}.items():
        if value is not None:
            is_wanted &= (rows[column] == value).to_numpy()
    return rows[is_wanted]


def over_seeds(rows: pd.DataFrame, value: str) -> Interval | None:
    """Mean and 95 % interval over seeds; `None` where no seed is complete."""
    values = per_seed(rows, value)
    return interval(values.values()) if values else None


def per_seed(rows: pd.DataFrame, value: str) -> dict[int, float]:
    """Mean of a column within each seed, see `mean_within_seeds`."""
    return mean_within_seeds(by_place(rows, value))


def differences(
    rows: pd.DataFrame, value: str, axis: str, first: str, second: str | None
) -> dict[int, float]:
    """Mean difference of a column within each seed, over the places that both have.

    So like is compared with like, whatever is missing on either side.

    Args:
        rows: of both, and perhaps of others.
        value: column to compare.
        axis: of the grid, on which the two differ.
        first, second: values of this axis; the second is taken off the first.
    """
    own, other = (by_place(rows[rows[axis] == one], value, but=axis) for one in (first, second))
    return mean_within_seeds(less(own, other))


def by_place(rows: pd.DataFrame, value: str, *, but: str = "") -> Places:
    """Place in the grid, without the axis `but` -> the value of a column, where it is known."""
    axes = zip(*(rows[name] for name in _AXES if name in rows and name != but), strict=True)
    lines = zip(rows["seed"], rows["task"], axes, rows[value], strict=True)
    return {tuple(place): number for *place, number in lines if pd.notna(number)}


def less(first: Places, second: Places) -> Places:
    """Differences on the places that both have."""
    return {place: first[place] - second[place] for place in first if place in second}


def mean_within_seeds(values: Places) -> dict[int, float]:
    """Mean over the places of a task first, then over tasks.

    A seed without one of the places of other seeds is left out, not filled in.
    """
    by_seed: dict[int, dict[str, list[float]]] = {}
    for (seed, task, _), number in values.items():
        by_seed.setdefault(int(seed), {}).setdefault(task, []).append(float(number))
    num_places = len({tuple(place) for _, *place in values})
    return {
        seed: fmean(fmean(numbers) for numbers in by_task.values())
        for seed, by_task in sorted(by_seed.items())
        if sum(map(len, by_task.values())) == num_places
    }


def percent_of_data(share: float) -> str:
    """A share of the training set as a label."""
    return f"{100 * share:g} % of the data"
