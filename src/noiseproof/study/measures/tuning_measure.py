"""Tunings: encoders that a study trains.

A training that is interrupted goes on where it was (`finetuning`). When its rows are on disk its weights are
deleted; its card stays.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import replace
from functools import cache, lru_cache
from itertools import product
from pathlib import Path
from typing import Any

from noiseproof.backbones.backbones import open_backbone
from noiseproof.config.finetune import FinetuneConfig
from noiseproof.core.storage.files import delete_folder, digest, write_bytes
from noiseproof.core.storage.inner_paths import inner_path
from noiseproof.data.splits import subset
from noiseproof.evaluate.results import ResultRow, read_results
from noiseproof.pipelines.finetune import RESULTS, run_prepared
from noiseproof.pipelines.finetune_inputs import prepare_finetuning
from noiseproof.pipelines.inputs.data_parts import DataParts
from noiseproof.pipelines.outputs.cards import TRAINING_CARD
from noiseproof.pipelines.outputs.output_folders import only_process_in
from noiseproof.study.grid import STEPS, Place
from noiseproof.study.measures.head_measure import AbstractTrainedMeasure
from noiseproof.study.measures.material import task_config
from noiseproof.study.measures.measure import RowRequest, Workbench
from noiseproof.study.rows import HeadRow
from noiseproof.training.loop import accelerator_for

TUNINGS = "tunings"


class TuningMeasure(AbstractTrainedMeasure):
    """Every tuning at its selected and its last step, on every evaluation set."""

    needs_features = False

    @property
    def variants(self) -> Iterable[tuple[str, str]]:
        """Every tuning at both steps."""
        return product(self.grid.recipe.tunings, STEPS)

    def options(self, place: Place) -> dict[str, Any]:
        """Settings of the tuning."""
        return {"tuning": self.grid.tuning(place).model_dump(mode="json", exclude_defaults=True)}

    def decided_by(self, place: Place, bench: Workbench) -> dict[str, Any]:
        """All settings, initial weights, training and evaluation data."""
        how, train = training_material(place, bench)
        part = bench.part(place)
        test = [part.dataset.fingerprint, part.best_labels, list(part.class_names)]
        return {"how": how, "train": train, "test": test}

    def training(self, place: Place) -> Hashable:
        """Both steps and all evaluation sets are of one training."""
        return training_key(place)

    def row(self, request: RowRequest, bench: Workbench) -> HeadRow:
        """Train an encoder or go on with its training, unless done for another row; take its result."""
        place = request.place
        results, fit_s = _trained(replace(place, setting=None, evaluation=None), bench)
        result = results[f"tuned-{place.setting}", bench.part(place).name]
        return self.row_of(request, bench, result, fit_s=fit_s)

    def tidy(self, place: Place, bench: Workbench) -> None:
        """Keep only the card of a training, with the curve of its selection."""
        folder = training_folder(place, bench)
        if (folder / TRAINING_CARD).is_file():
            write_bytes(folder.with_suffix(".json"), (folder / TRAINING_CARD).read_bytes())
            delete_folder(folder)


def training_key(place: Place) -> str:
    """Hash of a place without its step: both steps and all evaluation sets are of one training."""
    return digest(place.coordinates() | {"setting": None})


def training_material(place: Place, bench: Workbench) -> tuple[list[Any], list[Any]]:
    """Settings and initial weights; training data. All settings, since a default may change."""
    # For fresh weights the file still decides, since it holds the size of the images.
    weights = _weights_hash(place.encoder.backbone_for(place.seed))
    train = bench.task.parts.train
    data = [train.whole.fingerprint, train.rows, bench.data(place).key]
    return [bench.grid.tuning(place).model_dump(mode="json"), weights], data


def training_folder(place: Place, bench: Workbench) -> Path:
    """Folder of a training inside the study."""
    name = digest([training_key(place), *training_material(place, bench)])[:32]
    return inner_path(bench.locations.out, f"{TUNINGS}/{name}")


@lru_cache(maxsize=1)
def _trained(data: Place, bench: Workbench) -> tuple[dict[tuple[str, str], ResultRow], float]:
    """(tuned encoder, set) -> result, and seconds of the last training."""
    settings, out = bench.grid.tuning(data), training_folder(data, bench)
    values = task_config(bench.grid.recipe, data.task, bench.locations).model_dump() | settings.model_dump()
    values |= {"out": out, "seed": data.seed, "backbone": data.encoder.backbone_for(data.seed)}
    with only_process_in(out):
        ready = prepare_finetuning(
            FinetuneConfig(**values), accelerator_for(settings.precision), _parts(data, bench),
            command="noiseproof study", quiet=True,
        )  # fmt: skip
        card = run_prepared(ready)
        results = {(row.head, row.set_name): row for row in read_results(out / RESULTS)}
    return results, card["wall_s"]["training"]


def _parts(place: Place, bench: Workbench) -> DataParts:
    """Training data of a place, and all evaluation sets of its task."""
    task, data = bench.task, bench.data(place)
    dataset = subset(task.parts.train.dataset, data.rows)
    if data.noise is not None:
        dataset = replace(dataset, given_labels=data.noise.given, clean_labels=data.noise.clean)
    elif any(bench.grid.recipe.noises_of(place.task)):  # noise is injected into true labels only
        dataset = replace(dataset, clean_labels=data.given_labels)
    part = replace(task.parts.train, dataset=dataset, noise=data.noise)
    return DataParts(part, tuple(task.tests.values()), ())


@cache
def _weights_hash(backbone: str) -> str:
    return open_backbone(backbone).weights_hash
