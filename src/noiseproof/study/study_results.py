"""The results of a study beside its recipe, and their means: within a seed first, then over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from noiseproof.backbones.bundled.zoo_cards import zoo_card
from noiseproof.evaluate.protocol import Interval, interval
from noiseproof.study.axes import Encoder
from noiseproof.study.recipe import StudyRecipe
from noiseproof.study.rows import CurvatureRow, DetectionRow, HeadRow, MapRow, SpectrumRow, StudyRow

Row = TypeVar("Row", bound=StudyRow)
_ZOO = "zoo:"
_TRAINING = ("encoder", "task", "share", "noise", "head", "setting", "seed")
_PLACE = ("encoder", "task", "set", "share", "noise", "head", "setting")
_DETECTOR_PLACE = ("encoder", "task", "noise", "detector")


@dataclass(frozen=True, eq=False)
class StudyResults:
    """A study's results beside its recipe, for tables and figures.

    Attributes:
        recipe: of the study.
        head_rows: a line per `HeadRow`, as on disk, with `encoder`, `family`, `pretraining_noise`, `noise` as
            "kind:rate" or "none", and `score`, the metric that counts for its task.
        spectra: of the features of each encoder and set.
        maps: of the examples, where the recipe requests them.
        curvatures: of the heads, likewise.
        detections: a line per `DetectionRow`, as on disk, with `encoder` and `noise` as in `head_rows`.
    """

    recipe: StudyRecipe
    head_rows: pd.DataFrame
    spectra: list[SpectrumRow]
    maps: list[MapRow] = field(default_factory=list)
    curvatures: list[CurvatureRow] = field(default_factory=list)
    detections: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def num_results(self) -> int:
        """Results of heads, tunings and detectors."""
        return len(self.head_rows) + len(self.detections)

    @cached_property
    def encoders(self) -> list[Encoder]:
        """Encoders with results, in the order of the recipe."""
        existing = {(row.backbone, row.layer) for row in self.spectra}
        for rows in (self.head_rows, self.detections):
            if len(rows):
                existing |= set(zip(rows["backbone"], rows["layer"], strict=True))
        return [
            one for one in self.recipe.backbones if any((name, one.layer) in existing for name in one.names)
        ]

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
        existing = set(self.detections["detector"]) if len(self.detections) else set()
        return [name for name in self.recipe.detectors if name in existing]

    def noise_kinds(self, rows: pd.DataFrame) -> list[str]:
        """Kinds of noise in the labels that some rows have, in the order of the recipe."""
        existing = set(rows["noise_kind"]) if len(rows) else set()
        return [kind for kind in dict.fromkeys(one.kind for one in self.recipe.noises) if kind in existing]

    @property
    def least_label_noise(self) -> str | None:
        """Noise in the labels of results about pre-training: "none" if it exists, else `None`, every one."""
        return "none" if "none" in self.values("noise") else None

    def clean(self, family: str) -> Encoder | None:
        """The encoder of a family without noise, if it has results; others are compared with it."""
        return next((one for one in self.noisy(family) if one.noise == 0), None)

    def noisy(self, family: str) -> list[Encoder]:
        """Encoders of a family whose pre-training noise is known, the cleanest first."""
        known = [one for one in self.encoders if one.family == family and one.noise is not None]
        return sorted(known, key=lambda one: one.noise or 0.0)

    def values(self, column: str) -> list:
        """Distinct values of a column of `head_rows`, in the order of the rows."""
        return list(dict.fromkeys(self.head_rows[column])) if len(self.head_rows) else []

    def all_values(self, column: str) -> list:
        """Distinct values of a column of `head_rows` and `detections`."""
        rows = [frame[column] for frame in (self.head_rows, self.detections) if len(frame)]
        return list(dict.fromkeys(value for each in rows for value in each))

    def select(self, encoder: Encoder | None = None, **wanted: object) -> pd.DataFrame:
        """The lines of `head_rows` with these values; `None` is every one."""
        rows = self.head_rows
        key = None if encoder is None else encoder.key
        is_wanted = np.ones(len(rows), bool)  # rows are taken once: tables ask thousands of times
        for column, value in {"encoder": key, **wanted}.items():
            if value is not None:
                is_wanted &= (rows[column] == value).to_numpy()
        return rows[is_wanted]

    def select_clean(self, family: str, **wanted: object) -> pd.DataFrame:
        """The lines of the family's encoder without noise; none if it has no results."""
        clean = self.clean(family)
        return self.head_rows.head(0) if clean is None else self.select(clean, **wanted)

    def training_s(self) -> list[float]:
        """Seconds of every training and every run of a detector."""
        seconds: list[float] = []
        if len(self.head_rows):
            seconds += self.trained()["fit_s"].tolist()
        return seconds + (self.detections["wall_s"].tolist() if len(self.detections) else [])

    def trained(self, task: str | None = None) -> pd.DataFrame:
        """A line per training of a task: a head is trained once, however many sets it is evaluated on."""
        return self.select(task=task).drop_duplicates(list(_TRAINING))

    def spectrum_mean(self, encoder: Encoder, quantity: str, *, domain: str) -> Interval | None:
        """Mean of a spectral quantity over the sets of a task, then tasks, then repeats of the encoder."""
        rows = [
            (encoder.names.index(row.backbone), row.task, (row.task, row.set_name), getattr(row, quantity))
            for row in self.spectra_of(encoder)
            if row.domain == domain
        ]
        return over_seeds(pd.DataFrame(rows, columns=["seed", "task", "place", quantity]), quantity)

    def pretraining_accuracy(self, encoder: Encoder) -> float | None:
        """Accuracy in the recipe, else in the cards of zoo encoders; mean over the repeats with results."""
        if encoder.accuracy is not None:
            return encoder.accuracy
        names = dict.fromkeys(row.backbone for row in self.spectra_of(encoder))
        cards = [zoo_card(name.removeprefix(_ZOO)) for name in names if name.startswith(_ZOO)]
        return mean_of(card.result[1] for card in cards)

    def spectra_of(self, encoder: Encoder) -> list[SpectrumRow]:
        """The spectra of the features of one encoder and its repeats."""
        return rows_of(encoder, self.spectra)


def collect_results(rows: Iterable[StudyRow], recipe: StudyRecipe) -> StudyResults:
    """Collect rows of a study and add their encoder's family and noise from the recipe."""
    rows = list(rows)
    encoders = {(name, one.layer): one for one in recipe.backbones for name in one.names}
    heads, detections = [], []
    for row in rows:
        if isinstance(row, HeadRow | DetectionRow):
            encoder = encoders[row.backbone, row.layer]
            values = row.to_json() | {"encoder": encoder.key, "noise": row.noise}
            if isinstance(row, DetectionRow):
                detections.append(values)
            else:
                score = row.metrics[recipe.tasks[row.task].metric]
                about = {"family": encoder.family, "pretraining_noise": encoder.noise, "score": score}
                heads.append(values | about)
    return StudyResults(
        recipe,
        _numbered(heads, _PLACE),
        [row for row in rows if isinstance(row, SpectrumRow)],
        [row for row in rows if isinstance(row, MapRow)],
        [row for row in rows if isinstance(row, CurvatureRow)],
        _numbered(detections, _DETECTOR_PLACE),
    )


def _numbered(rows: list[dict[str, Any]], axes: tuple[str, ...]) -> pd.DataFrame:
    """A table of rows with a number for each place of the grid, whatever the seed."""
    frame = pd.DataFrame(rows)
    texts: pd.DataFrame = frame.select_dtypes("string")  # as Python's: tables read them value by value
    frame[texts.columns] = texts.astype(object).where(texts.notna(), None)
    if len(frame):
        frame["place"] = frame.groupby(list(axes), sort=False).ngroup()
    return frame.copy()  # in as few blocks as there are types, so that rows are taken quickly


def per_seed(rows: pd.DataFrame, value: str) -> dict[int, float]:
    """Mean of a column within each seed: over the sets of a task first, then over tasks.

    A seed without one of the places of other seeds is left out, not filled in.
    """
    if not len(rows):
        return {}
    return means_within_seeds(_tuples(rows, ("seed", "task", "place", value)))


def means_within_seeds(values: Iterable[tuple[int, str, Any, float | None]]) -> dict[int, float]:
    """As `per_seed`, from tuples of seed, task, place and value."""
    by_seed: dict[int, dict[str, list[float]]] = {}
    places = set()
    for seed, task, place, number in values:
        if pd.notna(number):
            by_seed.setdefault(int(seed), {}).setdefault(task, []).append(float(number))
            places.add(place)
    return {
        seed: fmean(fmean(values) for values in by_task.values())
        for seed, by_task in sorted(by_seed.items())
        if sum(map(len, by_task.values())) == len(places)
    }


def paired(first: pd.DataFrame, second: pd.DataFrame, value: str, *, but: str) -> pd.DataFrame:
    """Lines of `first` that have a partner in `second`, with the difference of a column as its value.

    A mean of the result compares like with like, whatever is missing on either side.

    Args:
        first: lines with one value in column `but`.
        second: lines with another.
        value: column to compare.
        but: the column of the grid in which the two differ, as in `_PLACE`.
    """
    if not len(first) or not len(second):
        return first.head(0)
    keys = [name for name in (*_PLACE, "seed") if name != but and name in first]
    partners = dict(zip(_tuples(second, keys), second[value], strict=True))  # tables ask thousands of times
    own = list(_tuples(first, keys))
    both = first[[key in partners for key in own]]
    return both.assign(**{value: both[value] - [partners[key] for key in own if key in partners]})


def _tuples(rows: pd.DataFrame, columns: Iterable[str]) -> Iterator[tuple[Any, ...]]:
    """The values of some columns, row by row."""
    return zip(*(rows[name] for name in columns), strict=True)


def rows_of(encoder: Encoder, rows: Iterable[Row]) -> list[Row]:
    """Rows of one encoder and its repeats."""
    return [row for row in rows if row.backbone in encoder.names and row.layer == encoder.layer]


def mean_of(values: Iterable[float | None]) -> float | None:
    """Mean of those that are known."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def over_seeds(rows: pd.DataFrame, value: str) -> Interval | None:
    """Mean and 95 % interval over seeds; `None` where no seed is complete."""
    values = per_seed(rows, value)
    return interval(values.values()) if values else None


def percent_of_data(share: float) -> str:
    """A share of the training set as a label."""
    return f"{100 * share:g} % of the data"
