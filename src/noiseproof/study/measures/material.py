"""What heads of a study learn from: the data of a task, its features by one encoder, shares and noise."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from noiseproof.backbones.base import AbstractBackbone
from noiseproof.config.run import RunConfig
from noiseproof.core.errors import InvalidArgument, MissingFile, NoiseproofError
from noiseproof.core.files import digest
from noiseproof.core.records import Dataset, NoisyLabels
from noiseproof.data.sources import resolve
from noiseproof.data.splits import stratified_share, subset
from noiseproof.features.extract import extract, features_key
from noiseproof.features.matrix import ShardedMatrix
from noiseproof.features.store import StoredFeatures
from noiseproof.noise.inject import corrupt_dataset
from noiseproof.noise.spec import Noise
from noiseproof.pipelines.inputs import Part, Parts, open_parts
from noiseproof.study.grid import Evaluation, Grid
from noiseproof.study.recipe import PLACEHOLDER, Recipe


@dataclass(frozen=True)
class Place:
    """Where data and features are.

    Attributes:
        data: folder that `{data}` stands for; `None` where none was named.
        cache: feature store.
    """

    data: Path | None
    cache: Path

    def path(self, spec: str) -> str:
        """A data set of a recipe as `open_dataset` wants it.

        Raises:
            InvalidArgument: it needs a folder and there is none.
        """
        if PLACEHOLDER not in spec:
            return spec
        if self.data is None:
            raise InvalidArgument(
                f"`data` is not given, and the recipe has {spec!r}; allowed: the folder that {PLACEHOLDER} "
                "stands for. Next: --data FOLDER (what has to be in it is under `needs` in the recipe)."
            )
        return spec.replace(PLACEHOLDER, str(self.data))


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What one head learns from.

    Attributes:
        rows: of the training part.
        given_labels: of these rows, with noise.
        noise: that was injected; `None` for none.
        key: hash of rows and labels.
    """

    rows: Int[np.ndarray, " n"]
    given_labels: Int[np.ndarray, " n"]
    noise: NoisyLabels | None
    key: str

    @property
    def realised_rate(self) -> float:
        """Of the noise."""
        return 0.0 if self.noise is None else self.noise.realised_rate


@dataclass(frozen=True, eq=False)
class OpenTask:
    """A task whose data sets were opened; nothing is encoded yet.

    Attributes:
        parts: training part and evaluation sets.
        tests: an evaluation -> its part; without those that are not there.
        missing: why the others are not there.
    """

    parts: Parts
    tests: dict[Evaluation, Part]
    missing: dict[Evaluation, str]
    _drawn: dict[Any, TrainingData] = field(default_factory=dict)

    def training_data(self, *, share: float, noise: Noise | None, seed: int) -> TrainingData:
        """What a head learns from; drawn once for all encoders and heads."""
        key = (share, noise and str(noise), seed)
        if key not in self._drawn:
            self._drawn[key] = training_data(self.parts.train, share=share, noise=noise, seed=seed)
        return self._drawn[key]


@dataclass(eq=False)
class Encoded:
    """Features of the data sets of a task by one encoder, extracted when first asked for."""

    backbone: AbstractBackbone
    recipe: Recipe
    place: Place
    _stored: dict[str, StoredFeatures] = field(default_factory=dict)
    _wall_s: dict[str, float] = field(default_factory=dict)

    def key(self, dataset: Dataset) -> str:
        """Under which the features are kept."""
        return features_key(dataset, self.backbone, precision=self.recipe.precision, dtype=self.recipe.dtype)

    def stored(self, dataset: Dataset) -> StoredFeatures:
        """The features of a whole data set."""
        key = self.key(dataset)
        if key not in self._stored:
            r, begin = self.recipe, time.perf_counter()
            self._stored[key] = extract(
                dataset, self.backbone, store=self.place.cache, batch_size=r.batch_size, engine=r.engine,
                precision=r.precision, dtype=r.dtype,
            )  # fmt: skip
            self._wall_s[key] = time.perf_counter() - begin
        return self._stored[key]

    def encode_s(self, datasets: Sequence[Dataset]) -> dict[str, float | None]:
        """Key of the features of each set -> how long they took, `None` unless encoded in this start."""
        stored = {self.key(one): self.stored(one) for one in datasets}
        return {
            key: self._wall_s[key] if one.num_encoded == len(one) else None for key, one in stored.items()
        }

    def features(self, part: Part) -> ShardedMatrix:
        """Of the examples of a part, still on disk."""
        features = self.stored(part.whole).features
        return features if part.rows is None else features.rows(part.rows)

    def part_key(self, part: Part) -> list[Any]:
        """What results on the features of a part depend on."""
        return [self.key(part.whole), part.rows, list(part.dataset.class_names)]


def missing_sets(grid: Grid, place: Place) -> dict[str, str]:
    """Data sets that a look at the disk shows not to be there -> why."""
    missing: dict[str, str] = {}
    for task in grid.recipe.tasks.values():
        for spec in (task.train, task.test, *task.ood):
            if spec is not None and spec not in missing:
                try:
                    resolve(_inner(place.path(spec)))
                except (MissingFile, InvalidArgument) as error:
                    missing[spec] = str(error)
                except NoiseproofError:
                    continue  # said when it is opened
    return missing


def open_task(grid: Grid, name: str, place: Place, missing: Mapping[str, str]) -> OpenTask:
    """Open the data sets of a task; evaluation sets of other domains may be missing, nothing else.

    Raises:
        NoiseproofError: training or test set cannot be opened.
    """
    task = grid.recipe.tasks[name]
    for spec in (task.train, task.test):
        if spec is not None and spec in missing:
            raise MissingFile(missing[spec])
    there = tuple(spec for spec in task.ood if spec not in missing)
    parts = open_parts(task_config(grid.recipe, name, place, there), views=grid.recipe.views)
    evaluations = grid.evaluations(name)
    opened = [one for one in evaluations if one.spec is None or one.spec not in missing]
    absent = {one: missing[one.spec] for one in evaluations if one.spec is not None and one.spec in missing}
    return OpenTask(parts, dict(zip(opened, parts.tests, strict=True)), absent)


def training_data(
    part: Part,
    *,
    share: float,
    noise: Noise | None,
    seed: int,
) -> TrainingData:
    """A part of the training set, each class in proportion, with wrong labels.

    Nothing here depends on an encoder, so all encoders of a study learn from the same examples and labels;
    noise that depends on the example sees its pixels or numbers as they are.

    Args:
        part: the training set.
        share: of each class, in (0, 1]; at least one example. Smaller shares are parts of larger ones.
        noise: to inject; `None` for none.
        seed: of both draws.
    """
    rows = stratified_share(part.given_labels, share=share, seed=seed)
    given, noisy = part.given_labels[rows], None
    if noise is not None:
        noisy = corrupt_dataset(subset(part.dataset, rows), noise, seed=seed)
        given = noisy.given
    return TrainingData(rows, given, noisy, digest([digest(rows), digest(given)]))


def _inner(spec: str) -> str:
    """What a shift is of."""
    while spec.startswith("shift:"):
        spec = spec.split(":", 2)[-1]
    return spec


def task_config(recipe: Recipe, name: str, place: Place, ood: tuple[str, ...]) -> RunConfig:
    """A task as one run would have it, with those of its sets of other domains that are there."""
    task = recipe.tasks[name]
    return RunConfig(
        train=place.path(task.train),
        test=None if task.test is None else place.path(task.test),
        ood=tuple(place.path(spec) for spec in ood),
        out=place.cache,
        shifts=task.shifts,
        label=task.label,
        image=task.image,
        text=task.text,
        clean_label=task.clean_label,
        test_label=task.test_label,
        limit=recipe.limit_of(name),
        test_fraction=task.test_fraction,
        views=recipe.views,
        seed=recipe.split_seed,
    )
