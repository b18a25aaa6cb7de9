"""The interface of every measure of a study: one loop plans, computes, saves and counts all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import numpy as np
from jaxtyping import Float

from noiseproof.core.storage.files import digest
from noiseproof.pipelines.inputs.data_parts import DataPart
from noiseproof.study.grid import Evaluation, Grid, Place
from noiseproof.study.measures.material import EncoderFeatures, Locations, OpenTask, TrainingData
from noiseproof.study.rows import StudyRow

SCHEMA = 1  # raised when the same request would give other numbers
Row = TypeVar("Row", bound=StudyRow)
Tool = TypeVar("Tool")


class Workbench:
    """One task and, for measures on features, one encoder, with the tools that measures share there.

    Args:
        grid: of the study.
        locations: of data, features and study.
        task: its data sets.
        features: of them by the encoder; `None` for measures that train encoders.
    """

    def __init__(
        self, grid: Grid, locations: Locations, task: OpenTask, features: EncoderFeatures | None = None
    ) -> None:
        self.grid, self.locations, self.task = grid, locations, task
        self._features = features
        self._tools: dict[Callable[[Workbench], Any], Any] = {}

    @property
    def features(self) -> EncoderFeatures:
        """Features of the task's data sets."""
        assert self._features is not None  # only measures on features use it
        return self._features

    @cached_property
    def train_key(self) -> str:
        """Hash of the features of the training part."""
        return digest(self.features.part_key(self.task.parts.train))

    @cached_property
    def train_features(self) -> Float[np.ndarray, "n d"]:
        """Features of the whole training part, read once."""
        return np.asarray(self.features.matrix(self.task.parts.train))

    @cached_property
    def view_keys(self) -> list[str]:
        """Keys of the features of augmented views."""
        return [self.features.key(view) for view in self.task.parts.views]

    @cached_property
    def test_keys(self) -> dict[Evaluation | None, str]:
        """Hash of the features and labels of each evaluation set."""
        return {
            one: digest([self.features.part_key(part), part.best_labels])
            for one, part in self.task.tests.items()
        }

    def data(self, place: Place) -> TrainingData:
        """The examples and labels that are learned from at a place."""
        return self.task.training_data(place)

    def part(self, place: Place) -> DataPart:
        """The evaluation set of a place."""
        return self.task.tests[place.evaluated]

    def tool(self, kind: Callable[[Workbench], Tool]) -> Tool:
        """The one tool of a kind on this bench, made when first used."""
        if kind not in self._tools:
            self._tools[kind] = kind(self)
        return self._tools[kind]


class AbstractMeasure(ABC):
    """One kind of row of a study."""

    title: ClassVar[str]  # words for a place in messages; may have {head}, {detector} and {noise}
    is_counted: ClassVar[bool] = True  # whether its rows count as results of the grid
    has_trainings: ClassVar[bool] = True  # whether a plan counts its trainings or runs
    is_shared: ClassVar[bool] = False  # other rows of the same features need it: an error costs them all
    is_batched: ClassVar[bool] = False  # whether rows of a group are saved, and fail, together
    needs_features: ClassVar[bool] = True

    def __init__(self, grid: Grid) -> None:
        self.grid = grid

    @abstractmethod
    def places(self) -> Iterator[Place]:
        """Every place of the grid that gets a row."""

    @abstractmethod
    def request(self, place: Place) -> dict[str, Any]:
        """The recipe's entries that decide a row; neither data nor weights are read."""

    @abstractmethod
    def decided_by(self, place: Place, bench: Workbench) -> dict[str, Any]:
        """Everything that decides a row beside the request: data, weights, drawn labels, resolved options."""

    @abstractmethod
    def row(self, request: RowRequest, bench: Workbench) -> StudyRow:
        """Compute a row.

        Raises:
            NoiseproofError: it cannot be computed.
        """

    def request_key(self, place: Place) -> str:
        """Hash of the request."""
        return digest({"schema": SCHEMA, **self.request(place)})[:32]

    def result_key(self, place: Place, bench: Workbench) -> str:
        """Hash of everything that decides a row."""
        own = self.decided_by(place, bench)
        return digest({"schema": SCHEMA, "asked": self.request_key(place), **own})[:32]

    def training(self, place: Place) -> Hashable:
        """Equal for rows of one training or run."""
        return place.training

    def group(self, place: Place, bench: Workbench) -> Hashable | None:
        """Equal for rows, of one measure or several, that share a training; `None` is a row of its own."""
        return self.training(place) if self.is_batched else None

    def tidy(self, place: Place, bench: Workbench) -> None:
        """Remove files that are not needed once the row of a place is on disk."""
        return


@dataclass(frozen=True, eq=False)
class RowRequest:
    """One row that a recipe requests.

    Attributes:
        measure: which computes it.
        place: in the grid.
        key: the request key.
        result_key: of the row; empty as long as its data are not open.
    """

    measure: AbstractMeasure
    place: Place
    key: str
    result_key: str = ""

    def row(self, kind: type[Row], **values: Any) -> Row:
        """The row with its keys and its place filled in."""
        where = self.place.coordinates()
        own = {name: where[name] for name in where.keys() & kind.__dataclass_fields__.keys()}
        return kind(result_key=self.result_key, request_key=self.key, **own, **values)


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows that one measure computes at once.

    Attributes:
        bench: where.
        requests: of the rows.
        cost: of the rows that a failure costs.
        group: as in `AbstractMeasure.group`; rows of one group share a training.
    """

    bench: Workbench
    requests: Sequence[RowRequest]
    cost: Sequence[RowRequest]
    group: Hashable

    @property
    def measure(self) -> AbstractMeasure:
        """Which computes the rows."""
        return self.requests[0].measure

    @property
    def title(self) -> str:
        """Words for messages."""
        place = self.requests[0].place
        titles = dict.fromkeys(
            self.measure.title.format(head=p.head, detector=p.detector, noise=p.noise_name)
            for p in (one.place for one in self.requests)
        )
        return f"{place.backbone} on {place.task}, {', '.join(titles)}"

    def rows(self) -> list[StudyRow]:
        """Compute the rows."""
        return [self.measure.row(one, self.bench) for one in self.requests]


def trainings_of(requests: Iterable[RowRequest]) -> set[Hashable]:
    """Trainings and runs of some rows, as a plan counts them."""
    return {one.measure.training(one.place) for one in requests if one.measure.has_trainings}
