"""The data of a study's tasks: sets that exist, features by one encoder, shares and noise."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from noiseproof.backbones.base import AbstractBackbone
from noiseproof.config.data import EvaluationConfig
from noiseproof.core.errors import InvalidArgument, MissingFile
from noiseproof.core.records import Dataset, NoisyLabels
from noiseproof.core.storage.files import digest
from noiseproof.data.sources import resolve
from noiseproof.data.splits import stratified_share, subset
from noiseproof.features.extract import extract, features_key
from noiseproof.features.matrix import ShardedMatrix
from noiseproof.features.store import StoredFeatures
from noiseproof.noise.inject import corrupt_dataset
from noiseproof.pipelines.inputs.data_parts import DataPart, DataParts
from noiseproof.pipelines.inputs.inputs import open_parts
from noiseproof.study.grid import Evaluation, Grid, Place
from noiseproof.study.recipe import PLACEHOLDER, StudyRecipe


@dataclass(frozen=True)
class Locations:
    """Folders of a study's data, features and results.

    Attributes:
        data: folder that `{data}` stands for; `None` where none was given.
        cache: feature store.
        out: the study's own.
    """

    data: Path | None
    cache: Path
    out: Path

    def path(self, spec: str) -> str:
        """A data set of a recipe as `open_dataset` takes it.

        Raises:
            InvalidArgument: it requires a folder and none was given.
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
    """The examples and labels that one head learns from.

    Attributes:
        rows: of the training part.
        given_labels: of these rows, with noise.
        noise: that was injected; `None` for none.
        key: hash of rows and labels.
        scores: of these rows, where the task is a regression.
    """

    rows: Int[np.ndarray, " n"]
    given_labels: Int[np.ndarray, " n"]
    noise: NoisyLabels | None
    key: str
    scores: Float[np.ndarray, " n"] | None = None

    @property
    def labels(self) -> np.ndarray:
        """What heads learn: the given labels, or the scores."""
        return self.given_labels if self.scores is None else self.scores

    @property
    def realised_rate(self) -> float:
        """Share of labels that the noise changed."""
        return 0.0 if self.noise is None else self.noise.realised_rate


@dataclass(frozen=True, eq=False)
class OpenTask:
    """A task whose data sets were opened; nothing is encoded yet.

    Attributes:
        parts: training part and evaluation sets.
        tests: an evaluation -> its part, for those that exist.
        missing: why the others are missing.
    """

    parts: DataParts
    tests: dict[Evaluation, DataPart]
    missing: dict[Evaluation, str]
    _drawn: dict[Any, TrainingData] = field(default_factory=dict)

    @property
    def test(self) -> DataPart:
        """The evaluation set in domain, which every task has."""
        return next(iter(self.tests.values()))

    def training_data(self, place: Place) -> TrainingData:
        """A part of the training set, each class in proportion, with wrong labels; drawn once.

        Nothing here depends on an encoder, so all encoders of a study learn from the same examples and
        labels; noise that depends on the example sees its pixels or numbers as they are. Smaller shares are
        parts of larger ones.
        """
        noise = place.noise
        key = (place.share, noise, place.seed)
        if key not in self._drawn:
            part = self.parts.train
            by = np.zeros_like(part.given_labels) if self.parts.has_scores else part.given_labels
            rows = stratified_share(by, share=place.share, seed=place.seed)
            given, noisy = part.given_labels[rows], None
            if noise is not None:
                noisy = corrupt_dataset(subset(part.dataset, rows), noise, seed=place.seed)
                given = noisy.given
            labels_key = digest([digest(rows), digest(given)])
            scores = part.dataset.scores[rows] if self.parts.has_scores else None
            self._drawn[key] = TrainingData(rows, given, noisy, labels_key, scores)
        return self._drawn[key]


@dataclass(eq=False)
class EncoderFeatures:
    """Features of data sets by one encoder, extracted when first used."""

    backbone: AbstractBackbone
    recipe: StudyRecipe
    cache: Path
    _stored: dict[str, StoredFeatures] = field(default_factory=dict)
    _wall_s: dict[str, float] = field(default_factory=dict)

    def key(self, dataset: Dataset) -> str:
        """Key of the features of a data set in the store."""
        return features_key(dataset, self.backbone, precision=self.recipe.precision, dtype=self.recipe.dtype)

    def stored(self, dataset: Dataset) -> StoredFeatures:
        """The features of a whole data set."""
        key = self.key(dataset)
        if key not in self._stored:
            r, begin = self.recipe, time.perf_counter()
            self._stored[key] = extract(
                dataset, self.backbone, store=self.cache, batch_size=r.batch_size, engine=r.engine,
                precision=r.precision, dtype=r.dtype,
            )  # fmt: skip
            self._wall_s[key] = time.perf_counter() - begin
        return self._stored[key]

    def encode_s(self, datasets: Sequence[Dataset]) -> dict[str, float | None]:
        """Key of the features of each set -> seconds they took, `None` unless encoded in this start."""
        stored = {self.key(one): self.stored(one) for one in datasets}
        return {
            key: self._wall_s[key] if one.num_encoded == len(one) else None for key, one in stored.items()
        }

    def matrix(self, part: DataPart) -> ShardedMatrix:
        """Features of the examples of a part, still on disk."""
        features = self.stored(part.whole).features
        return features if part.rows is None else features.rows(part.rows)

    def part_key(self, part: DataPart) -> list[Any]:
        """Everything that results on the features of a part depend on."""
        return [self.key(part.whole), part.rows, list(part.dataset.class_names)]


def open_task(grid: Grid, name: str, locations: Locations) -> OpenTask:
    """Open the data sets of a task; evaluation sets of other domains may be missing, nothing else.

    Raises:
        NoiseproofError: training or test set cannot be opened.
    """
    task, absent = grid.recipe.tasks[name], {}
    for spec in task.specs:
        try:
            resolve(_inner(locations.path(spec)))  # before any set is read
        except (MissingFile, InvalidArgument) as error:
            if spec not in task.ood:
                raise
            absent[spec] = str(error)
    parts = open_parts(
        task_config(grid.recipe, name, locations, [spec for spec in task.ood if spec not in absent]),
        views=grid.recipe.views, task="regression" if task.predicts_scores else "classification",
    )  # fmt: skip
    missing = {one: absent[one.spec] for one in grid.evaluations(name) if one.spec in absent}
    opened = [one for one in grid.evaluations(name) if one not in missing]
    return OpenTask(parts, dict(zip(opened, parts.tests, strict=True)), missing)


def _inner(spec: str) -> str:
    """The data set that a shift changes."""
    while spec.startswith("shift:"):
        spec = spec.split(":", 2)[-1]
    return spec


def task_config(
    recipe: StudyRecipe, name: str, locations: Locations, ood: Sequence[str] = ()
) -> EvaluationConfig:
    """Data configuration of a task, with those of its sets of other domains that exist."""
    task = recipe.tasks[name]
    columns = task.model_dump(include={"shifts", "label", "image", "text", "clean_label", "test_label"})
    return EvaluationConfig(
        train=locations.path(task.train),
        test=None if task.test is None else locations.path(task.test),
        ood=tuple(locations.path(spec) for spec in ood),
        out=locations.cache,
        limit=recipe.limit_of(name),
        test_fraction=task.test_fraction,
        seed=recipe.split_seed,
        **columns,
    )
