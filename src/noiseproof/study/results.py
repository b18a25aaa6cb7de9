"""What the rows of a study say, averaged: within a seed first, then over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import pandas as pd

from noiseproof.backbones.zoo import zoo_card
from noiseproof.evaluate.protocol import Interval, interval
from noiseproof.study.recipe import Encoder, Recipe
from noiseproof.study.rows import Cell, CurvatureRow, DetectionRow, MapRow, Row, Spectrum

_ZOO = "zoo:"
_PLACE = ("encoder", "task", "set", "share", "noise", "head", "setting")


@dataclass(frozen=True, eq=False)
class Found:
    """A study's results beside its recipe, for tables and figures.

    Attributes:
        recipe: of the study.
        cells: a row per cell: its place in the grid, `encoder`, `family`, `pretraining_noise`, `noise` as
            "kind:rate" or "none", the metrics, and `score`, the metric that counts for its task.
        spectra: of the features of each encoder and set.
        maps: of the examples, where the recipe asks for them.
        curvatures: of the heads, likewise.
        detections: a row per detection: its place in the grid, `encoder` and `noise` as in `cells`, the
            metrics, `wall_s` and the accuracies after it.
    """

    recipe: Recipe
    cells: pd.DataFrame
    spectra: list[Spectrum]
    maps: list[MapRow] = field(default_factory=list)
    curvatures: list[CurvatureRow] = field(default_factory=list)
    detections: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def num_results(self) -> int:
        """Of heads, tunings and detectors."""
        return len(self.cells) + len(self.detections)

    @property
    def encoders(self) -> list[Encoder]:
        """Those with results, in the order of the recipe."""
        there = {(row.backbone, row.layer) for row in self.spectra}
        for rows in (self.cells, self.detections):
            if len(rows):
                there |= set(zip(rows["backbone"], rows["layer"], strict=True))
        return [one for one in self.recipe.backbones if any((name, one.layer) in there for name in one.names)]

    @property
    def families(self) -> list[str]:
        """Of the encoders with results, in the order of the recipe."""
        return list(dict.fromkeys(one.family for one in self.encoders))

    @property
    def noisy_families(self) -> list[str]:
        """Those with encoders of at least two rates of noise."""
        return [family for family in self.families if len(self.noisy(family)) > 1]

    @property
    def domains(self) -> list[str]:
        """Of the results, in domain first."""
        return [domain for domain in ("id", "ood") if domain in self.values("domain")]

    @property
    def heads(self) -> list[str]:
        """With results, in the order of the recipe."""
        named = (*self.recipe.heads, *self.recipe.tunings)
        return [head for head in named if head in self.values("head")]

    @property
    def detectors(self) -> list[str]:
        """With results, in the order of the recipe."""
        there = set(self.detections["detector"]) if len(self.detections) else set()
        return [name for name in self.recipe.detectors if name in there]

    @property
    def least_label_noise(self) -> str | None:
        """The value of `noise` that results about pre-training are taken from: "none" where it is there.

        Otherwise `None`, which selects every one.
        """
        return "none" if "none" in self.values("noise") else None

    def clean(self, family: str) -> Encoder | None:
        """The encoder of a family that others are compared with: the one without noise, if it has results."""
        return next((one for one in self.noisy(family) if one.noise == 0), None)

    def noisy(self, family: str) -> list[Encoder]:
        """Encoders of a family whose pre-training noise is known, the cleanest first."""
        known = [one for one in self.encoders if one.family == family and one.noise is not None]
        return sorted(known, key=lambda one: one.noise or 0.0)

    def values(self, column: str) -> list:
        """What occurs in a column, in the order of the rows."""
        return list(dict.fromkeys(self.cells[column])) if len(self.cells) else []

    def all_values(self, column: str) -> list:
        """What occurs in a column of results of any kind."""
        rows = [frame[column] for frame in (self.cells, self.detections) if len(frame)]
        return list(dict.fromkeys(value for each in rows for value in each))

    def select(self, encoder: Encoder | None = None, **wanted: object) -> pd.DataFrame:
        """The cells with these values; `None` is every one."""
        cells = self.cells
        if encoder is not None:
            cells = cells[cells["encoder"] == encoder_key(encoder.names[0], encoder.layer)]
        for column, value in wanted.items():
            if value is not None:
                cells = cells[cells[column] == value]
        return cells

    def spectrum_mean(self, encoder: Encoder, quantity: str, *, domain: str) -> Interval | None:
        """Of a quantity of the features: over the sets of a task, then tasks, then repeats of the encoder."""
        rows = [
            (encoder.names.index(row.backbone), row.task, (row.task, row.set_name), getattr(row, quantity))
            for row in self.spectra_of(encoder)
            if row.domain == domain
        ]
        return over_seeds(pd.DataFrame(rows, columns=["seed", "task", "place", quantity]), quantity)

    def pretraining_accuracy(self, encoder: Encoder) -> float | None:
        """Of the recipe, else of the cards of zoo encoders; mean over the repeats with results."""
        if encoder.accuracy is not None:
            return encoder.accuracy
        names = dict.fromkeys(row.backbone for row in self.spectra_of(encoder))
        cards = [zoo_card(name.removeprefix(_ZOO)) for name in names if name.startswith(_ZOO)]
        return mean_of(card.result[1] for card in cards)

    def spectra_of(self, encoder: Encoder) -> list[Spectrum]:
        """The spectra of the features of one encoder and its repeats."""
        return [row for row in self.spectra if row.backbone in encoder.names and row.layer == encoder.layer]


def found_in(rows: Iterable[Row], recipe: Recipe) -> Found:
    """Rows of a study beside what its recipe says about them."""
    rows = list(rows)
    encoders = {encoder_key(name, one.layer): one for one in recipe.backbones for name in one.names}
    table = []
    for row in rows:
        if isinstance(row, Cell):
            encoder = encoders[encoder_key(row.backbone, row.layer)]
            values = row.to_json()
            noise = _noise_name(row)
            score = row.metrics[recipe.tasks[row.task].metric]
            values |= {"encoder": encoder_key(encoder.names[0], encoder.layer), "family": encoder.family}
            table.append(values | {"pretraining_noise": encoder.noise, "noise": noise, "score": score})
    cells = pd.DataFrame(table)
    if len(cells):
        cells["place"] = cells.groupby(list(_PLACE), sort=False).ngroup()
    return Found(
        recipe,
        cells,
        [row for row in rows if isinstance(row, Spectrum)],
        [row for row in rows if isinstance(row, MapRow)],
        [row for row in rows if isinstance(row, CurvatureRow)],
        _detections(rows, encoders),
    )


def _detections(rows: Iterable[Row], encoders: Mapping[str, Encoder]) -> pd.DataFrame:
    """A row per detection, as `Found` has them."""
    table = []
    for row in rows:
        if isinstance(row, DetectionRow):
            encoder = encoders[encoder_key(row.backbone, row.layer)]
            place = {"encoder": encoder_key(encoder.names[0], encoder.layer), "noise": _noise_name(row)}
            table.append(row.to_json() | place)
    found = pd.DataFrame(table)
    if len(found):
        found["place"] = found.groupby(["encoder", "task", "noise", "detector"], sort=False).ngroup()
    return found


def _noise_name(row: Cell | DetectionRow) -> str:
    return "none" if row.noise_kind is None else f"{row.noise_kind}:{row.noise_rate:g}"


def per_seed(cells: pd.DataFrame, value: str) -> dict[int, float]:
    """Mean of a column within each seed: over the sets of a task first, then over tasks.

    A seed that lacks one of the places that other seeds have is left out, not filled in.
    """
    if not len(cells):
        return {}
    return means_within_seeds(zip(*(cells[name] for name in ("seed", "task", "place", value)), strict=True))


def means_within_seeds(values: Iterable[tuple[int, str, Any, float | None]]) -> dict[int, float]:
    """The same of (seed, task, place, value)."""
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
    """The cells of `first` that `second` has, too, with the differences of a column in place of its values.

    A mean of what comes out compares like with like, whatever either side lacks.

    Args:
        first: cells with one value in column `but`.
        second: cells with another.
        value: column to compare.
        but: the column of the grid in which the two differ, as in `_PLACE`.
    """
    if not len(first) or not len(second):
        return first.head(0)
    keys = [name for name in (*_PLACE, "detector", "seed") if name != but and name in first]
    both = first.merge(second[[*keys, value]], on=keys, suffixes=("", "_of_second"))
    return both.assign(**{value: both[value] - both[f"{value}_of_second"]})


def mean_of(values: Iterable[float | None]) -> float | None:
    """Mean of those that are known."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def over_seeds(cells: pd.DataFrame, value: str) -> Interval | None:
    """Mean and 95 % interval over seeds; `None` where there is nothing."""
    values = per_seed(cells, value)
    return interval(values.values()) if values else None


def percent_of_data(share: float) -> str:
    """A share of the training set as a label."""
    return f"{100 * share:g} % of the data"


def encoder_key(name: str, layer: str | None) -> str:
    """How tables of results call an encoder."""
    return name if layer is None else f"{name} {layer}"
