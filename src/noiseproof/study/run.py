"""Compute a grid: every cell that the results do not have yet, and nothing twice.

Features are extracted once per encoder and data set, heads on the same features and labels are trained
together where that is faster, rows reach the disk as soon as a head is done. Killed at any point, the same
command goes on; a cell that cannot be computed is told at the end and does not hold up the others.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from noiseproof.backbones.table import open_backbone
from noiseproof.backbones.zoo import accuracy_of, zoo_card
from noiseproof.diagnose.spectrum import spectra
from noiseproof.errors import NoiseproofError, NoSpaceLeft
from noiseproof.records import Dataset
from noiseproof.stages import digest
from noiseproof.study.grid import SCHEMA, Grid, noise_name
from noiseproof.study.material import (
    Encoded,
    OpenTask,
    Place,
    missing_sets,
    open_task,
)
from noiseproof.study.recipe import Encoder
from noiseproof.study.rows import Spectrum, StudyLog
from noiseproof.study.train import Bench, Job, in_batches
from noiseproof.study.watch import Watch, watching

_ZOO = "zoo:"


@dataclass(eq=False)
class Outcome:
    """What a start did.

    Attributes:
        num_computed: cells that were computed.
        failures: why -> how many cells lack.
    """

    num_computed: int = 0
    failures: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def going_on(self, what: str, num_cells: int) -> Iterator[None]:
        """Note an error with the number of cells it costs, and go on; a full disk would stop every cell."""
        try:
            yield
        except NoSpaceLeft:
            raise
        except NoiseproofError as error:
            self.lacks(f"{what}: {error}", num_cells)
        except Exception as error:  # noqa: BLE001 - hours of other cells must not depend on this one
            self.lacks(f"{what}: {type(error).__name__}: {error}", num_cells)

    def lacks(self, reason: str, num_cells: int) -> None:
        """Note cells that cannot be computed."""
        self.failures[reason] = self.failures.get(reason, 0) + num_cells


@dataclass(eq=False)
class _Study:
    """What the steps share."""

    grid: Grid
    log: StudyLog
    place: Place
    watch: Watch
    outcome: Outcome = field(default_factory=Outcome)


def compute(grid: Grid, log: StudyLog, place: Place, *, say: Callable[[str], None]) -> Outcome:
    """Every missing cell of a grid.

    Args:
        grid: of the study.
        log: where the rows are and go.
        place: of data and features.
        say: receives a line where there is something to tell.
    """
    absent = missing_sets(grid, place)
    for reason in dict.fromkeys(absent.values()):
        say(f"{reason} Going on without it.")
    with watching(num_missing_heads(grid, {row.asked for row in log.rows}), say=say) as watch:
        this = _Study(grid, log, place, watch)
        tasks = _opened(this, absent)
        for encoder, backbone in grid.backbones:
            costs = sum(_num_cells(grid, name, encoder, backbone) for name in tasks)
            with this.outcome.going_on(backbone, costs):
                encoded = Encoded(open_backbone(backbone, layer=encoder.layer), grid.recipe, place)
                for name, task in tasks.items():
                    _task(this, encoder, backbone, encoded, name, task)
    return this.outcome


def num_missing_heads(grid: Grid, asked: Container[str]) -> int:
    """Heads that lack a result, going by what the recipe says.

    Args:
        grid: of the study.
        asked: of the rows there are.
    """
    return sum(
        not all(grid.asked(fit, one) in asked for one in grid.evaluations(fit.task)) for fit in grid.fits()
    )


def _opened(this: _Study, absent: dict[str, str]) -> dict[str, OpenTask]:
    tasks = {}
    for name in this.grid.recipe.tasks:
        num_cells = _num_cells(this.grid, name)
        with this.outcome.going_on(name, num_cells):
            tasks[name] = open_task(this.grid, name, this.place, absent)
            each = num_cells // len(this.grid.evaluations(name))
            for reason in tasks[name].missing.values():
                this.outcome.lacks(f"{name}: {reason}", each)
    return tasks


def _num_cells(grid: Grid, task: str, encoder: Encoder | None = None, backbone: str | None = None) -> int:
    """Of a task, or of one backbone on it."""
    return len(grid.evaluations(task)) * sum(
        1 for _ in grid.fits(encoder=encoder, backbone=backbone, task=task)
    )


def _task(this: _Study, encoder: Encoder, backbone: str, encoded: Encoded, name: str, task: OpenTask) -> None:
    """All heads of one backbone on one task."""
    what = f"{backbone} on {name}"
    with this.outcome.going_on(what, _num_cells(this.grid, name, encoder, backbone)):
        _spectra(this, encoder, backbone, encoded, name, task)
        bench = Bench(this.grid, encoded, task)
        jobs = list(_jobs(this, bench, encoder, backbone, name, task))
        for batch in in_batches(jobs, this.grid):
            num_cells = sum(len(job.cells) for job in batch)
            heads = ", ".join(dict.fromkeys(job.fit.head for job in batch))
            with this.outcome.going_on(f"{what}, {heads}", num_cells):
                this.log.append(bench.run(batch))
                this.outcome.num_computed += num_cells
            this.watch.advance(len(batch))


def _jobs(
    this: _Study, bench: Bench, encoder: Encoder, backbone: str, name: str, task: OpenTask
) -> Iterator[Job]:
    """The heads that lack a result."""
    for fit in this.grid.fits(encoder=encoder, backbone=backbone, task=name):
        with this.outcome.going_on(f"{name}, {noise_name(fit.noise)}", len(task.tests)):
            data = task.training_data(share=fit.share, noise=fit.noise, seed=fit.seed)
            cells = {one: bench.address(fit, one, data) for one in task.tests}
            lacking = {one: cell for one, cell in cells.items() if not this.log.has(cell)}
            if lacking:
                yield Job(fit, data, lacking)


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
                    pretraining_accuracy=pretraining_accuracy(encoder, backbone),
                )
            ]
        )


def pretraining_accuracy(encoder: Encoder, backbone: str) -> float | None:
    """Of the recipe, else of the card of a zoo encoder."""
    if encoder.accuracy is None and backbone.startswith(_ZOO):
        return accuracy_of(zoo_card(backbone.removeprefix(_ZOO)))[1]
    return encoder.accuracy


def _training_sets(task: OpenTask) -> list[Dataset]:
    return [task.parts.train.whole, *task.parts.views]
