"""Tunings: encoders that a study trains, side by side in worker processes.

A training that is interrupted goes on where it was (`finetuning`). When its rows are on disk its weights are
deleted; its card stays.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any

import torch

from noiseproof.backbones.backbones import open_backbone
from noiseproof.config.finetune import FinetuneConfig
from noiseproof.core.files import digest, write_bytes
from noiseproof.core.threads import num_cores
from noiseproof.data.splits import subset
from noiseproof.evaluate.results import ResultRow, read_results
from noiseproof.pipelines.cards import TRAINING_CARD
from noiseproof.pipelines.finetune import RESULTS, run_prepared
from noiseproof.pipelines.finetune_inputs import prepare_finetuning
from noiseproof.pipelines.folders import only_process_in
from noiseproof.pipelines.inputs import DataParts
from noiseproof.study.grid import SCHEMA, STEPS, Grid, Place
from noiseproof.study.measures.head_measure import training_request
from noiseproof.study.measures.material import Locations, missing_sets, open_task, task_config
from noiseproof.study.measures.measure import AbstractMeasure, Batch, PendingRow, Workbench
from noiseproof.study.recipe import StudyRecipe
from noiseproof.study.rows import HeadRow, StudyRow
from noiseproof.training.loop import accelerator_for

TUNINGS = "tunings"


class TuningMeasure(AbstractMeasure):
    """Every tuning at its selected and its last step, on every evaluation set."""

    title = "{head}"
    is_batched = True
    needs_features = False

    def places(self) -> Iterator[Place]:
        """Every tuning x step x evaluation set."""
        r = self.grid.recipe
        for data in self.grid.trainings() if r.tunings else ():
            for name in r.tunings:
                for step in STEPS:
                    for one in self.grid.evaluations(data.task):
                        yield dataclasses.replace(data, head=name, setting=step, evaluation=one)

    def request_key(self, place: Place) -> str:
        """Hash of the place and of the settings that differ from their defaults."""
        settings = self.grid.tuning(place).model_dump(mode="json", exclude_defaults=True)
        return training_request(self.grid, place, {"tuning": settings})

    def result_key(self, place: Place, bench: Workbench) -> str:
        """Hash of the request, all settings, initial weights, training and evaluation data."""
        how, train = decided_by(place, bench)
        part = bench.part(place)
        test = [part.dataset.fingerprint, part.best_labels, list(part.dataset.class_names)]
        content = {"asked": self.request_key(place), "how": how, "train": train, "test": test}
        return digest({"schema": SCHEMA, **content})[:32]

    def training(self, place: Place) -> Hashable:
        """Both steps and all evaluation sets are of one training."""
        return training_key(place)

    def group(self, place: Place, bench: Workbench) -> Hashable:
        """As `training`."""
        return training_key(place)

    def row(self, pending: PendingRow, bench: Workbench) -> HeadRow:
        """Train an encoder or go on with its training, unless done for another row; take its result."""
        place, part, data = pending.place, bench.part(pending.place), bench.data(pending.place)
        results, fit_s = bench.tool(EncoderTrainer).trained(place)
        result = results[f"tuned-{place.setting}", part.name]
        return pending.row(
            HeadRow,
            set_name=part.name,
            domain=place.evaluated.domain,
            realised_rate=data.realised_rate,
            num_train=len(data.rows),
            num_examples=result.num_examples,
            metrics=result.metrics,
            entropy_nats=None,
            largest_ratio=None,
            fit_s=fit_s,
        )

    def tidy(self, place: Place, bench: Workbench) -> None:
        """Keep only the card of a training, with the curve of its selection."""
        folder = training_folder(place, bench)
        if (folder / TRAINING_CARD).is_file():
            write_bytes(folder.with_suffix(".json"), (folder / TRAINING_CARD).read_bytes())
            shutil.rmtree(folder)


def training_key(place: Place) -> str:
    """Hash of a place without its step: both steps and all evaluation sets are of one training."""
    return digest(place.coordinates() | {"setting": None})


def decided_by(place: Place, bench: Workbench) -> tuple[list[Any], list[Any]]:
    """Settings and initial weights; training data. All settings, since a default may change."""
    # For fresh weights the file still decides, since it holds the size of the images.
    weights = _weights_hash(place.encoder.backbone_for(place.seed))
    train = bench.task.parts.train
    data = [train.whole.fingerprint, train.rows, bench.data(place).key]
    return [bench.grid.tuning(place).model_dump(mode="json"), weights], data


def training_folder(place: Place, bench: Workbench) -> Path:
    """Folder of a training inside the study."""
    name = digest([training_key(place), *decided_by(place, bench)])[:32]
    return bench.locations.out / TUNINGS / name


class EncoderTrainer:
    """Trains encoders on one task, and keeps the results of the last training.

    Args:
        bench: its task.
    """

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._last: tuple[str, dict[tuple[str, str], ResultRow], float] | None = None

    def trained(self, place: Place) -> tuple[dict[tuple[str, str], ResultRow], float]:
        """(tuned encoder, set) -> result; seconds of the training."""
        key = training_key(place)
        if self._last is None or self._last[0] != key:
            self._last = (key, *self._train(place))
        return self._last[1:]

    def _train(self, place: Place) -> tuple[dict[tuple[str, str], ResultRow], float]:
        grid, locations = self._bench.grid, self._bench.locations
        settings, out = grid.tuning(place), training_folder(place, self._bench)
        data = task_config(grid.recipe, place.task, locations, ()).model_dump()
        data |= settings.model_dump() | {"out": out, "seed": place.seed}
        config = FinetuneConfig(**data, backbone=place.encoder.backbone_for(place.seed))
        with only_process_in(out):
            accelerator = accelerator_for(settings.precision)
            card = run_prepared(
                prepare_finetuning(
                    config, accelerator, self._parts(place), command="noiseproof study", quiet=True
                )
            )
            results = {(row.head, row.set_name): row for row in read_results(out / RESULTS)}
        return results, card["wall_s"]["training"]

    def _parts(self, place: Place) -> DataParts:
        """Training data of a place, and all evaluation sets of its task."""
        task, data = self._bench.task, self._bench.data(place)
        dataset = subset(task.parts.train.dataset, data.rows)
        if data.noise is not None:
            dataset = dataclasses.replace(
                dataset, given_labels=data.noise.given, clean_labels=data.noise.clean
            )
        elif any(self._bench.grid.recipe.noises_of(place.task)):  # noise is injected into true labels only
            dataset = dataclasses.replace(dataset, clean_labels=data.given_labels)
        part = dataclasses.replace(task.parts.train, dataset=dataset, noise=data.noise)
        return DataParts(part, tuple(task.tests.values()), ())


@cache
def _weights_hash(backbone: str) -> str:
    return open_backbone(backbone).weights_hash


def side_by_side(
    batches: Sequence[Batch], recipe: StudyRecipe, locations: Locations
) -> Iterator[tuple[Batch, Callable[[], Sequence[StudyRow]]]]:
    """Compute tunings, a process per core where there is no accelerator; yield each when it ends.

    Args:
        batches: a training each.
        recipe: of the study.
        locations: of data and study.
    """
    if not batches:
        return
    num_workers = 1 if torch.accelerator.is_available() else min(num_cores(), len(batches))
    begin, others = (recipe.to_json(), locations), set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(num_workers, multiprocessing.get_context("spawn"), _begin, begin)
    # Seed by seed: a study that is stopped has seeds of the whole grid.
    in_order = sorted(batches, key=lambda batch: batch.pending[0].place.seed)
    futures: dict[Future, Batch] = {pool.submit(_rows, batch.pending): batch for batch in in_order}
    try:
        for future in as_completed(futures):
            yield futures[future], future.result
    except BaseException:  # an interrupt, a full disk: what runs goes on from its checkpoint another time
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


_bench: Callable[[str], Workbench]  # of this worker process, by task


def _begin(recipe: dict[str, Any], locations: Locations) -> None:
    global _bench
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    if not torch.accelerator.is_available():
        torch.set_num_threads(1)  # whatever the number of workers, so that sums come out the same
    Thread(target=_end_with_parent, daemon=True).start()
    grid = Grid(StudyRecipe(**recipe))
    missing = missing_sets(grid.recipe, locations)
    _bench = cache(lambda task: Workbench(grid, locations, open_task(grid, task, locations, missing)))


def _end_with_parent() -> None:
    """A parent that is killed cannot stop its workers, which would keep their folders from the next start."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a worker
    parent.join()
    os._exit(1)


def _rows(pending: Sequence[PendingRow]) -> list[HeadRow]:
    bench = _bench(pending[0].place.task)
    return [TuningMeasure(bench.grid).row(one, bench) for one in pending]
