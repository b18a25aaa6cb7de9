"""Compute a grid: every cell that the results do not have yet, and nothing twice.

Features are extracted once per encoder and data set, heads on the same features and labels are trained
together where that is faster, rows reach the disk as soon as a head is done. Killed at any point, the same
command goes on; a cell that cannot be computed is told at the end and does not hold up the others.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from noiseproof.backbones.backbones import open_backbone
from noiseproof.core.errors import NoiseproofError, NoSpaceLeft
from noiseproof.core.files import digest
from noiseproof.core.records import Dataset
from noiseproof.diagnose.spectrum import spectra
from noiseproof.study.grid import SCHEMA, Evaluation, Fit, Grid, Of, in_domain, noise_name
from noiseproof.study.measures.detectors import (
    Arena,
    Detection,
    asked_detection,
    asked_detections,
    detections,
)
from noiseproof.study.measures.heads import Bench, Job, Trained, in_batches
from noiseproof.study.measures.material import Encoded, OpenTask, Place, missing_sets, open_task
from noiseproof.study.measures.portraits import (
    Maps,
    asked_curvature,
    asked_of_fit,
    asked_portraits,
    curvature_address,
    has_curvature,
    map_noises,
)
from noiseproof.study.measures.tunings import TUNINGS, TuningJob, keep_card, tuned, tuning_job
from noiseproof.study.recipe import Encoder
from noiseproof.study.rows import Spectrum, StudyLog
from noiseproof.study.watch import Watch, watching


@dataclass(eq=False)
class Outcome:
    """What a start did.

    Attributes:
        num_computed: cells that were computed.
        failures: why -> how many cells lack.
    """

    num_computed: int = 0
    failures: dict[str, int] = field(default_factory=dict)


@dataclass(eq=False)
class _Study:
    """What the steps share."""

    grid: Grid
    log: StudyLog
    place: Place
    watch: Watch
    outcome: Outcome = field(default_factory=Outcome)

    @contextmanager
    def going_on(self, what: str, asked: Iterable[str]) -> Iterator[None]:
        """Note an error with the cells it costs, and go on; a full disk would cost every cell."""
        try:
            yield
        except NoSpaceLeft:
            raise
        except NoiseproofError as error:
            self.lacks(f"{what}: {error}", asked)
        except Exception as error:  # noqa: BLE001 - hours of other cells must not depend on this one
            self.lacks(f"{what}: {type(error).__name__}: {error}", asked)

    def lacks(self, reason: str, asked: Iterable[str]) -> None:
        """Note cells that cannot be computed, unless an earlier start did."""
        num_cells = self.num_lacking(asked)
        if num_cells:
            self.outcome.failures[reason] = self.outcome.failures.get(reason, 0) + num_cells

    def num_lacking(self, asked: Iterable[str]) -> int:
        """How many of these have no result."""
        return sum(not self.log.has_asked(one) for one in asked)


def compute(grid: Grid, log: StudyLog, place: Place, *, say: Callable[[str], None]) -> Outcome:
    """Every missing cell of a grid.

    Args:
        grid: of the study.
        log: where the rows are and go.
        place: of data and features.
        say: receives a line where there is something to tell.
    """
    with watching(num_missing(grid, {row.asked for row in log.rows}), say=say) as watch:
        this = _Study(grid, log, place, watch)
        tasks = _opened(this, say)
        on_features = grid.recipe.heads or grid.recipe.detectors
        for encoder, backbone in grid.backbones if on_features else ():
            asked = (one for name in tasks for one in _asked(grid, name, encoder, backbone, of="heads"))
            with this.going_on(backbone, asked):
                encoded = Encoded(open_backbone(backbone, layer=encoder.layer), grid.recipe, place)
                for name, task in tasks.items():
                    if grid.recipe.heads:
                        _task(this, encoder, backbone, encoded, name, task)
                    _detections(this, encoder, backbone, encoded, name, task)
        _tunings(this, tasks)
    return this.outcome


def num_missing(grid: Grid, asked: Container[str]) -> int:
    """Trainings of heads and encoders, and detections, that lack a result, going by what the recipe says.

    Args:
        grid: of the study.
        asked: of the rows there are.
    """
    lacking = (fit for fit in grid.fits() if not all(one in asked for one in asked_of_fit(grid, fit)))
    num_detections = sum(one not in asked for one in asked_detections(grid))
    return len({grid.training(fit) for fit in lacking}) + num_detections


def _opened(this: _Study, say: Callable[[str], None]) -> dict[str, OpenTask]:
    absent = missing_sets(this.grid, this.place)
    tasks: dict[str, OpenTask] = {}
    said: dict[str, None] = {}
    for name, task in this.grid.recipe.tasks.items():
        if this.num_lacking(_asked(this.grid, name)):
            said |= {absent[spec]: None for spec in (task.train, task.test, *task.ood) if spec in absent}
        with this.going_on(name, _asked(this.grid, name)):
            tasks[name] = open_task(this.grid, name, this.place, absent)
            for evaluation, reason in tasks[name].missing.items():
                this.lacks(f"{name}: {reason}", _asked(this.grid, name, only=evaluation))
    for reason in said:
        say(f"{reason} Going on without it.")
    return tasks


def _asked(
    grid: Grid, task: str, encoder: Encoder | None = None, backbone: str | None = None,
    *, only: Evaluation | None = None, of: Of | None = None,
) -> Iterator[str]:  # fmt: skip
    """The results of a task, or of one backbone on it, or of one of its sets; of heads or of tunings.

    What is made of the features without any head counts with heads.
    """
    evaluations = grid.evaluations(task) if only is None else [only]
    for fit in grid.fits(encoder=encoder, backbone=backbone, task=task, of=of):
        for evaluation in evaluations:
            yield grid.asked(fit, evaluation)
    if only is None and of != "tunings":
        yield from asked_portraits(grid, encoder=encoder, backbone=backbone, task=task)
        yield from asked_detections(grid, encoder=encoder, backbone=backbone, task=task)


def _task(this: _Study, encoder: Encoder, backbone: str, encoded: Encoded, name: str, task: OpenTask) -> None:
    """All heads of one backbone on one task."""
    what = f"{backbone} on {name}"
    with this.going_on(what, _asked(this.grid, name, encoder, backbone, of="heads")):
        _spectra(this, encoder, backbone, encoded, name, task)
        _maps(this, Maps(this.grid, encoder, backbone, encoded, name, task), name, what)
        bench = Bench(this.grid, encoded, task)
        jobs = list(_jobs(this, bench, encoder, backbone, name, task))
        for batch in in_batches(jobs, this.grid):
            heads = ", ".join(dict.fromkeys(job.fit.head for job in batch))
            asked = [one for job in batch for one in job.asked(this.grid)]
            with this.going_on(f"{what}, {heads}", asked):
                trained = bench.train(batch)
                this.log.append(bench.cells(trained))
                this.outcome.num_computed += sum(len(job.cells) for job in batch)
                _curvatures(this, bench, trained, what)
            this.watch.advance(len(batch))


def _jobs(
    this: _Study, bench: Bench, encoder: Encoder, backbone: str, name: str, task: OpenTask
) -> Iterator[Job]:
    """The heads that lack a result."""
    for fit in this.grid.fits(encoder=encoder, backbone=backbone, task=name, of="heads"):
        asked = (this.grid.asked(fit, one) for one in task.tests)
        with this.going_on(f"{name}, {noise_name(fit.noise)}", asked):
            data = task.training_data(share=fit.share, noise=fit.noise, seed=fit.seed)
            cells = {one: bench.address(fit, one, data) for one in task.tests}
            lacking = {one: cell for one, cell in cells.items() if not this.log.has(cell)}
            curvature = None
            if has_curvature(this.grid, fit):
                address = curvature_address(this.grid, fit, cells[in_domain(this.grid, name)])
                curvature = None if this.log.has(address) else address
            if lacking or curvature is not None:
                yield Job(fit, data, lacking, curvature)


def _maps(this: _Study, maps: Maps, name: str, what: str) -> None:
    """Those that lack; a set that has no map costs no more than that."""
    for noise in map_noises(this.grid.recipe, name):
        with this.going_on(f"{what}, feature map, {noise_name(noise)}", [maps.asked(noise)]):
            if not this.log.has(maps.address(noise)):
                this.log.append([maps.row(noise)])


def _curvatures(this: _Study, bench: Bench, trained: Trained, what: str) -> None:
    """Of the heads that lack it, once their results are on disk."""
    for job, head in zip(trained.jobs, trained.heads, strict=True):
        if job.curvature is not None:
            asked = asked_curvature(this.grid, job.fit)
            with this.going_on(f"{what}, curvature of {job.fit.head}", [asked]):
                this.log.append([bench.curvature(job, job.curvature, head)])


def _detections(
    this: _Study, encoder: Encoder, backbone: str, encoded: Encoded, name: str, task: OpenTask
) -> None:
    """All detectors on the features of one backbone for one task, each on disk when it is done."""
    places = list(detections(this.grid, encoder=encoder, backbone=backbone, task=name))
    if not places:
        return
    what = f"{backbone} on {name}"
    with this.going_on(what, (asked_detection(this.grid, place) for place in places)):
        arena = Arena(this.grid, encoded, task, name)
        for place in places:
            asked = [asked_detection(this.grid, place)]
            told = f"{what}, {noise_name(place.noise)}, {place.detector}"
            with this.going_on(told, asked):
                _detection(this, arena, place)


def _detection(this: _Study, arena: Arena, place: Detection) -> None:
    data = arena.data(place)
    if not this.log.has(arena.address(place, data)):
        try:
            this.log.append([arena.row(place, data)])
            this.outcome.num_computed += 1
        finally:
            this.watch.advance(1)


def _tunings(this: _Study, tasks: Mapping[str, OpenTask]) -> None:
    """Encoders that are trained themselves, side by side, each on disk when it is done."""
    # Seed by seed: a study that is stopped has seeds of the whole grid.
    jobs = sorted(_tuning_jobs(this, tasks), key=lambda job: job.fits[0].seed)
    folder = this.log.path.parent / TUNINGS
    for done in tuned(this.grid.recipe, this.place, folder, jobs):
        with this.going_on(f"{done.job.what}", done.job.asked):
            this.log.append(done.rows())
            this.outcome.num_computed += len(done.job.asked)
            keep_card(folder / done.job.folder)
        this.watch.advance(1)


def _tuning_jobs(this: _Study, tasks: Mapping[str, OpenTask]) -> Iterator[TuningJob]:
    """The trainings that lack a result."""
    for name, task in tasks.items():
        places: dict[str, list[Fit]] = {}
        for fit in this.grid.fits(task=name, of="tunings"):
            places.setdefault(this.grid.training(fit), []).append(fit)
        for fits in places.values():
            asked = [this.grid.asked(fit, one) for fit in fits for one in task.tests]
            with this.going_on(f"{fits[0].backbone} on {name}", asked):
                job = tuning_job(this.grid, fits, task, this.log)
                if job.cells:
                    yield job
                else:  # a kill may have come between its last row and the end of its folder
                    keep_card(this.log.path.parent / TUNINGS / job.folder)


def _spectra(
    this: _Study, encoder: Encoder, backbone: str, encoded: Encoded, name: str, task: OpenTask
) -> None:
    """Of the features of every evaluation set, once."""
    for evaluation, part in task.tests.items():
        asked = this.grid.asked_spectrum(backbone, encoder.layer, name, evaluation)
        cell = digest({"schema": SCHEMA, "asked": asked, "of": encoded.part_key(part)})[:32]
        if this.log.has(cell):
            continue
        raw, centred = spectra(encoded.features(part))
        wholes = [part.whole, *(_training_sets(task) if evaluation.role == "test" else ())]
        this.log.append(
            [
                Spectrum(
                    cell=cell,
                    asked=asked,
                    backbone=backbone,
                    layer=encoder.layer,
                    task=name,
                    set_name=part.name,
                    domain=evaluation.domain,
                    num_examples=raw.num_examples,
                    singular_values=raw.singular_values.tolist(),
                    centred_singular_values=centred.singular_values.tolist(),
                    entropy_nats=raw.entropy_nats,
                    largest_ratio=raw.largest_ratio,
                    effective_rank=raw.effective_rank,
                    centred_entropy_nats=centred.entropy_nats,
                    centred_largest_ratio=centred.largest_ratio,
                    centred_effective_rank=centred.effective_rank,
                    encode_s=encoded.encode_s(wholes),
                )
            ]
        )


def _training_sets(task: OpenTask) -> list[Dataset]:
    return [task.parts.train.whole, *task.parts.views]
