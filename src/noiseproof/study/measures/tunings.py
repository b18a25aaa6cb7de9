"""Encoders that a study trains: jobs, worker processes that do them side by side, and rows of what they say.

A training that is interrupted goes on where it was (`finetuning`). When its rows are in the results its
weights are deleted; its card stays.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any

import torch

from noiseproof.backbones.backbones import open_backbone
from noiseproof.config.data import EvaluationConfig
from noiseproof.config.finetune import FinetuneConfig
from noiseproof.core.files import digest, write_bytes
from noiseproof.core.threads import num_cores
from noiseproof.data.splits import subset
from noiseproof.evaluate.results import ResultRow, read_results
from noiseproof.pipelines.cards import TRAINING_CARD as CARD
from noiseproof.pipelines.finetune import RESULTS, run_prepared
from noiseproof.pipelines.finetune_inputs import make_tuning
from noiseproof.pipelines.folders import only_process_in
from noiseproof.pipelines.inputs import Parts
from noiseproof.study.grid import SCHEMA, Evaluation, Fit, Grid
from noiseproof.study.measures.material import (
    OpenTask,
    Place,
    TrainingData,
    missing_sets,
    open_task,
    task_config,
)
from noiseproof.study.recipe import Recipe
from noiseproof.study.rows import Cell, StudyLog
from noiseproof.training.loop import accelerator_for

TUNINGS = "tunings"


@dataclass(frozen=True, eq=False)
class TuningJob:
    """One training, with the results that it lacks.

    Attributes:
        fits: its places in the grid, one per step that is reported.
        folder: of the training, inside that of all trainings.
        cells: (place, evaluation) -> (asked, address).
    """

    fits: tuple[Fit, ...]
    folder: str
    cells: tuple[tuple[Fit, Evaluation, str, str], ...]

    @property
    def what(self) -> str:
        """For messages."""
        fit = self.fits[0]
        return f"{fit.backbone} on {fit.task}, {fit.head}"

    @property
    def asked(self) -> list[str]:
        """Of all cells."""
        return [asked for _, _, asked, _ in self.cells]


@dataclass(frozen=True, eq=False)
class Done:
    """A training that ended, one way or the other."""

    job: TuningJob
    _result: Future[list[Cell]]

    def rows(self) -> list[Cell]:
        """What it says; raises what ended it."""
        return self._result.result()


def keep_card(folder: Path) -> None:
    """Of a training whose rows are in the results, only the card stays, with the curve of the selection."""
    if (folder / CARD).is_file():
        write_bytes(folder.with_suffix(".json"), (folder / CARD).read_bytes())
        shutil.rmtree(folder)


def tuning_job(grid: Grid, fits: Sequence[Fit], task: OpenTask, log: StudyLog) -> TuningJob:
    """A training with the addresses of the results that it lacks."""
    fit = fits[0]
    data = task.training_data(share=fit.share, noise=fit.noise, seed=fit.seed)
    train = [task.parts.train.whole.fingerprint, task.parts.train.rows, data.key]
    settings = grid.tuning(fit)
    assert settings is not None  # tunings only become jobs
    # Of fresh weights the file still says which images they take. Settings whole: a default may change.
    how = [settings.model_dump(mode="json"), _weights_hash(fit.encoder.backbone_for(fit.seed))]
    cells = []
    for one in fits:
        for evaluation, part in task.tests.items():
            asked = grid.asked(one, evaluation)
            of = [part.dataset.fingerprint, part.best_labels, list(part.dataset.class_names)]
            content = {"schema": SCHEMA, "asked": asked, "how": how, "train": train, "test": of}
            cells.append((one, evaluation, asked, digest(content)[:32]))
    lacking = tuple(cell for cell in cells if not log.has(cell[3]))
    folder = digest([grid.training(fit), how, train])[:32]
    return TuningJob(tuple(fits), folder, lacking)


@cache
def _weights_hash(backbone: str) -> str:
    return open_backbone(backbone).weights_hash


def tuned(recipe: Recipe, place: Place, folder: Path, jobs: Sequence[TuningJob]) -> Iterator[Done]:
    """Do all jobs, a process per core where there is no accelerator, and tell of each when it ends.

    Args:
        recipe: of the study.
        place: of the data.
        folder: of all trainings.
        jobs: trainings.
    """
    if not jobs:
        return
    num_workers = 1 if torch.accelerator.is_available() else min(num_cores(), len(jobs))
    begin, others = (recipe.to_json(), place, folder), set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(num_workers, multiprocessing.get_context("spawn"), _begin, begin)
    futures = {pool.submit(_rows, job): job for job in jobs}
    try:
        for future in as_completed(futures):
            yield Done(futures[future], future)
    except BaseException:  # an interrupt, a full disk: what runs goes on from its checkpoint another time
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


class _Worker:
    """What a worker process keeps between jobs: the data sets, open."""

    def __init__(self, recipe: Recipe, place: Place, folder: Path) -> None:
        self._grid, self._place, self._folder = Grid(recipe), place, folder
        self._missing = missing_sets(self._grid, place)
        self._tasks: dict[str, OpenTask] = {}

    def rows(self, job: TuningJob) -> list[Cell]:
        """Train, evaluate, and turn what comes out into rows."""
        fit, settings = job.fits[0], self._grid.tuning(job.fits[0])
        assert settings is not None  # tunings only become jobs
        task = self._task(fit.task)
        data = task.training_data(share=fit.share, noise=fit.noise, seed=fit.seed)
        out = self._folder / job.folder
        data_config = task_config(self._grid.recipe, fit.task, self._place, ())
        values = {name: getattr(data_config, name) for name in EvaluationConfig.model_fields}
        values |= settings.model_dump() | {"out": out, "seed": fit.seed}
        config = FinetuneConfig(**values, backbone=fit.encoder.backbone_for(fit.seed))
        with only_process_in(out):
            noises = self._grid.recipe.noises_of(fit.task)
            parts = _parts(task, data, is_truth=any(noises))
            this = make_tuning(
                config, accelerator_for(settings.precision), parts, command="noiseproof study", quiet=True
            )
            card = run_prepared(this)
            results = {(row.head, row.set_name): row for row in read_results(out / RESULTS)}
        return [
            _cell(fit, evaluation, said, address, results, task=task, data=data, card=card)
            for fit, evaluation, said, address in job.cells
        ]

    def _task(self, name: str) -> OpenTask:
        if name not in self._tasks:
            self._tasks[name] = open_task(self._grid, name, self._place, self._missing)
        return self._tasks[name]


_worker: _Worker | None = None  # of this process


def _begin(recipe: dict[str, Any], place: Place, folder: Path) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    if not torch.accelerator.is_available():
        torch.set_num_threads(1)  # whatever the number of workers, so that sums come out the same
    Thread(target=_end_with_parent, daemon=True).start()
    _worker = _Worker(Recipe(**recipe), place, folder)


def _end_with_parent() -> None:
    """A parent that is killed cannot stop its workers, which would keep their folders from the next start."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a worker
    parent.join()
    os._exit(1)


def _rows(job: TuningJob) -> list[Cell]:
    assert _worker is not None
    return _worker.rows(job)


def _parts(task: OpenTask, data: TrainingData, *, is_truth: bool) -> Parts:
    """What one training learns from, and all its evaluation sets; whether labels without noise are true."""
    train = task.parts.train
    dataset = subset(train.dataset, data.rows)
    if data.noise is not None:
        dataset = dataclasses.replace(dataset, given_labels=data.noise.given, clean_labels=data.noise.clean)
    elif is_truth:  # as what noise is injected into elsewhere
        dataset = dataclasses.replace(dataset, clean_labels=data.given_labels)
    part = dataclasses.replace(train, dataset=dataset, noise=data.noise)
    return Parts(part, tuple(task.tests.values()), ())


def _cell(
    fit: Fit, evaluation: Evaluation, asked: str, address: str, results: dict[tuple[str, str], ResultRow],
    *, task: OpenTask, data: TrainingData, card: dict[str, Any],
) -> Cell:  # fmt: skip
    part = task.tests[evaluation]
    row = results[f"tuned-{fit.setting}", part.name]
    return Cell(
        cell=address,
        asked=asked,
        **fit.coordinates(),
        set_name=part.name,
        domain=evaluation.domain,
        realised_rate=data.realised_rate,
        num_train=len(data.rows),
        num_examples=row.num_examples,
        metrics=row.metrics,
        entropy_nats=None,
        largest_ratio=None,
        fit_s=card["wall_s"]["training"],
    )
