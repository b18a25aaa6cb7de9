"""The one loop that computes what is missing of a study, and nothing twice.

Every kind of row is an `AbstractMeasure`; the loop asks each for its places, skips rows that exist, computes
the others, and saves them as soon as they are done. Features are extracted once per encoder and data set.
Killed at any point, the same command goes on; an error costs the rows that depend on it and no others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain

from noiseproof.backbones.backbones import open_backbone
from noiseproof.core.errors import NoiseproofError
from noiseproof.core.progress import Counter as Bar
from noiseproof.core.progress import progress, write_line
from noiseproof.core.storage.files import disk_full
from noiseproof.study.grid import Grid
from noiseproof.study.measures.detector_measure import DetectorMeasure
from noiseproof.study.measures.diagnosis_measures import CurvatureMeasure, MapMeasure, SpectrumMeasure
from noiseproof.study.measures.head_measure import HeadMeasure
from noiseproof.study.measures.material import EncoderFeatures, Locations, OpenTask, open_task
from noiseproof.study.measures.measure import AbstractMeasure, Batch, RowRequest, Workbench, trainings_of
from noiseproof.study.measures.tuning_measure import TuningMeasure
from noiseproof.study.measures.tuning_workers import side_by_side
from noiseproof.study.rows import StudyLog, StudyRow

# In the order of computation: a spectrum needs the features of every set, so they are extracted first.
MEASURES: tuple[type[AbstractMeasure], ...] = (
    SpectrumMeasure, MapMeasure, HeadMeasure, CurvatureMeasure, DetectorMeasure, TuningMeasure,
)  # fmt: skip
Computation = tuple[Batch, Callable[[], Sequence[StudyRow]]]


@dataclass(eq=False)
class StudyOutcome:
    """Results of one start.

    Attributes:
        num_computed: results that were computed.
        failures: reason -> number of rows that are missing for it.
    """

    num_computed: int = 0
    failures: Counter[str] = field(default_factory=Counter)


def requests_of(grid: Grid) -> list[RowRequest]:
    """Every row that the recipe of a grid requests; neither data nor weights are read."""
    return [
        RowRequest(measure, place, measure.request_key(place))
        for measure in (kind(grid) for kind in MEASURES)
        for place in measure.places()
    ]


def num_results(requests: Iterable[RowRequest]) -> int:
    """Results of a whole study: heads and tuned encoders x evaluation sets, and detections."""
    return sum(one.measure.is_counted for one in requests)


def num_missing(requests: Iterable[RowRequest], existing: Container[str]) -> int:
    """Trainings and runs of detectors without all their rows; `existing` has the request keys of rows."""
    return len(trainings_of(one for one in requests if one.key not in existing))


def compute(grid: Grid, requests: Sequence[RowRequest], log: StudyLog, locations: Locations) -> StudyOutcome:
    """Compute every row that the log does not have, and append it."""
    num_trainings = num_missing(requests, {row.request_key for row in log.rows})
    with progress("Study", total=num_trainings, unit="training", quiet=num_trainings == 0) as bar:
        loop = _Loop(grid, requests, log, locations, bar)
        tasks = loop.open_tasks()
        loop.compute_on_features(tasks)
        loop.compute_tunings(tasks)
    return loop.outcome


@dataclass(eq=False)
class _Loop:
    """The state of one start."""

    grid: Grid
    requests: Sequence[RowRequest]
    log: StudyLog
    locations: Locations
    bar: Bar
    outcome: StudyOutcome = field(default_factory=StudyOutcome)
    _counted: set[Hashable] = field(default_factory=set)  # trainings that the bar has counted

    def open_tasks(self) -> dict[str, OpenTask]:
        """Data sets of every task; those that are missing cost their rows, and a line gives the reason."""
        tasks: dict[str, OpenTask] = {}
        for name in self.grid.recipe.tasks:
            own = [one for one in self.requests if one.place.task == name]
            with self._noted(name, own):
                tasks[name] = open_task(self.grid, name, self.locations)
                for evaluation, reason in tasks[name].missing.items():
                    lost = [one for one in own if one.place.evaluation == evaluation]
                    self._note(f"{name}: {reason}", lost)
        for reason in self.outcome.failures:
            write_line(f"{reason} Going on without it.")
        return tasks

    def compute_on_features(self, tasks: dict[str, OpenTask]) -> None:
        """Rows of all measures on features, encoder by encoder."""
        by_backbone: dict[Hashable, dict[str, list[RowRequest]]] = {}
        for one in self.requests:
            if one.measure.needs_features and one.place.task in tasks:
                key = (one.place.backbone, one.place.encoder.layer)
                by_backbone.setdefault(key, {}).setdefault(one.place.task, []).append(one)
        for by_task in by_backbone.values():
            place = next(iter(by_task.values()))[0].place
            with self._noted(place.backbone, [one for own in by_task.values() for one in own]):
                encoder = open_backbone(place.backbone, layer=place.encoder.layer)
                features = EncoderFeatures(encoder, self.grid.recipe, self.locations.cache)
                for name, own in by_task.items():
                    with self._noted(f"{place.backbone} on {name}", own):
                        bench = Workbench(self.grid, self.locations, tasks[name], features)
                        self._run((batch, batch.rows) for batch in self._batches(own, bench))

    def compute_tunings(self, tasks: dict[str, OpenTask]) -> None:
        """Rows of encoders that are trained, of all tasks side by side."""
        batches: list[Batch] = []
        for name, task in tasks.items():
            own = [r for r in self.requests if r.place.task == name and not r.measure.needs_features]
            batches += self._batches(own, Workbench(self.grid, self.locations, task))
        self._run(side_by_side(batches, self.grid.recipe, self.locations))

    def _batches(self, requests: Iterable[RowRequest], bench: Workbench) -> list[Batch]:
        """The missing rows, those that are computed at once together; rows of one group side by side."""
        groups: dict[Hashable, dict[Hashable, list[RowRequest]]] = {}
        known = {None, *bench.task.tests}
        for one in requests:
            if one.place.evaluation not in known:
                continue
            with self._noted(f"{one.place.task}, {one.place.noise_name}", [one]):
                result_key = one.measure.result_key(one.place, bench)
                if self.log.has(result_key):
                    one.measure.tidy(one.place, bench)
                    continue
                group = one.measure.group(one.place, bench) or one.key
                part = one.measure if one.measure.is_batched else one.key
                own = groups.setdefault(group, {}).setdefault(part, [])
                own.append(replace(one, result_key=result_key))
        return [
            Batch(bench, rows, list(chain(*parts.values())) if rows[0].measure.is_batched else rows, group)
            for group, parts in groups.items()
            for rows in parts.values()
        ]

    def _run(self, computations: Iterable[Computation]) -> None:
        """Compute and save batch after batch; where a training fails, the rest of its group is skipped."""
        failed: set[Hashable] = set()
        for batch, rows in computations:
            if batch.group not in failed and not self._save(batch, rows) and batch.measure.is_batched:
                failed.add(batch.group)
            trainings = trainings_of(batch.requests)
            self.bar.update(len(trainings - self._counted))
            self._counted |= trainings

    def _save(self, batch: Batch, rows: Callable[[], Sequence[StudyRow]]) -> bool:
        """Whether the rows of a batch could be computed; an error is noted."""
        with self._noted(batch.title, batch.cost, is_shared=batch.measure.is_shared):
            self.log.append(rows())
            self.outcome.num_computed += batch.measure.is_counted * len(batch.requests)
            for one in batch.requests:
                batch.measure.tidy(one.place, batch.bench)
            return True
        return False

    @contextmanager
    def _noted(self, what: str, requests: Sequence[RowRequest], *, is_shared: bool = False) -> Iterator[None]:
        """Note an error with the rows it costs, and go on.

        A full disk would cost every row, so it ends the study; an error of shared rows is raised on.
        """
        try:
            yield
        except Exception as error:
            if (full := disk_full(error)) is not None:
                raise full from error
            if is_shared:
                raise
            kind = "" if isinstance(error, NoiseproofError) else f"{type(error).__name__}: "
            self._note(f"{what}: {kind}{error}", requests)

    def _note(self, reason: str, requests: Iterable[RowRequest]) -> None:
        """Note rows that cannot be computed, unless an earlier start computed them."""
        if number := self._num_missing(requests):
            self.outcome.failures[reason] += number

    def _num_missing(self, requests: Iterable[RowRequest]) -> int:
        """Number of rows without a result. Spectra and the like are by-products and do not count."""
        return sum(not self.log.has_request(r.key) for r in requests if not r.measure.is_shared)
