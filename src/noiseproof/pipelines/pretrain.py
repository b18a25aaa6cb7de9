"""The flow of `noiseproof pretrain`: data -> noise -> network -> training -> evaluation -> card.

Training and evaluation are stages: a second start with the same configuration resumes where the first one
stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import softmax

from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.bundled.bundled import imagenet_classifier
from noiseproof.backbones.checkpoints.weights import (
    hash_weights,
    load_exactly,
    read_checkpoint,
    write_weights,
)
from noiseproof.backbones.image_text.prompt_words import imagenet_words
from noiseproof.config.keywords import takes_keywords
from noiseproof.config.pretrain import PretrainConfig
from noiseproof.core.errors import BadData, invalid
from noiseproof.core.records import Dataset, LabelledDataset
from noiseproof.core.storage.checksums import read_record, write_record
from noiseproof.core.storage.documents import START_AGAIN
from noiseproof.diagnose.spectrum import spectrum
from noiseproof.features.extract import extract
from noiseproof.features.matrix import ShardedMatrix
from noiseproof.heads.estimators import LinearProbe
from noiseproof.noise.applied import NONE
from noiseproof.pipelines.inputs.inputs import is_whole, label_columns, open_one
from noiseproof.pipelines.outputs.cards import data_section
from noiseproof.pipelines.outputs.identity import header_from, identity
from noiseproof.pipelines.outputs.output_folders import check_is_apart, only_main_process_in
from noiseproof.pipelines.outputs.stages import Stages
from noiseproof.pipelines.training_flow import AbstractTrainingState, end_of_log, run_training
from noiseproof.pretrain.class_captions import class_captions, classifier_captions, wrong_class_rate
from noiseproof.pretrain.image_text import image_text_task, locked_image_tower
from noiseproof.pretrain.noisy_targets import Targets, noisy_captions, noisy_labels
from noiseproof.pretrain.pretrain_settings import PretrainSettings
from noiseproof.pretrain.simclr import simclr_task
from noiseproof.pretrain.supervised import supervised_task
from noiseproof.pretrain.task import Task
from noiseproof.training.batches import AbstractBatches, ArrayBatches, MatrixBatches
from noiseproof.training.decoded_images import decode_all
from noiseproof.training.loop import LOG, accelerator_for, train
from noiseproof.training.networks import Images, outputs
from noiseproof.training.optimizers import make_optimizer
from noiseproof.training.order import Order, Share
from noiseproof.training.streaming import StreamBatches, stream_images

WEIGHTS, FACTS, RESULTS = "model.safetensors", "training.json", "evaluation.json"
_ROWS = 500  # images per call when nothing is learned


@dataclass(eq=False, kw_only=True)
class _PretrainState(AbstractTrainingState):
    """Configuration, data and targets of one pre-training, shared by its steps."""

    config: PretrainConfig
    data: LabelledDataset
    test: LabelledDataset
    targets: Targets

    @property
    def evaluation_key(self) -> list[Any]:
        """The test set."""
        return [self.test.fingerprint, self.test.best_labels, self.test.class_names]

    @cached_property
    def settings(self) -> PretrainSettings:
        """How the network is trained."""
        return self.config.settings

    @cached_property
    def task(self) -> Task:
        """The network with fresh weights, its loss and the preparation of its images."""
        share = Share(self.accelerator.process_index, self.accelerator.num_processes)
        return _build_task(
            self.settings, self.data, self.test, self.targets.given, share, seed=self.config.seed
        )


@takes_keywords(PretrainConfig)
def pretrain(
    config: PretrainConfig, *, command: str = "noiseproof.pretrain(...)", quiet: bool = False
) -> dict[str, Any]:
    """Train an encoder on data with known noise.

    Args:
        config: of data and training.
        command: how the user started it, for the card.
        quiet: no progress bars.

    Returns:
        The contents of `card.json`; empty in processes that only helped.

    Raises:
        CheckpointMismatch: `out` holds another training.
        BadData: data or manifest cannot be used.
    """
    check_is_apart(config.out, (config.train, config.test))
    accelerator = accelerator_for(config.precision)
    with only_main_process_in(config.out, accelerator):
        return run_training(
            _prepare(config, accelerator, command=command, quiet=quiet),
            "pretrain",
            files=(WEIGHTS, FACTS, RESULTS, LOG),
            train=_train,
            evaluate=_evaluate,
            describe=_describe,
        )


def _prepare(config: PretrainConfig, accelerator: Any, *, command: str, quiet: bool) -> _PretrainState:
    columns = label_columns(config)
    if config.caption is not None:
        columns = {"label": config.caption, "clean_label": None}
    data = open_one(config, config.train, **columns)
    test = open_one(config, config.test, label=config.label, clean_label=None)
    targets = _targets(config, data, quiet=quiet)
    made_from = identity(
        config.settings, seed=config.seed, noise=targets.noise, data=data, targets=targets.given,
        num_processes=accelerator.num_processes,
    )  # fmt: skip
    return _PretrainState(
        config=config, command=command, quiet=quiet, accelerator=accelerator, identity=made_from, data=data,
        test=test, targets=targets,
    )  # fmt: skip


def _train(state: _PretrainState, folder: Path) -> list[str]:
    task, settings = state.task, state.settings
    optimizer = make_optimizer(
        task.model, settings.optimizer, learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay, momentum=settings.momentum,
    )  # fmt: skip
    batches = _batches(state, task)
    train(
        task.model, batches, task.loss, optimizer,
        schedule=settings.schedule(batches.order, seed=state.config.seed),
        accelerator=state.accelerator, folder=folder, identity=state.identity, quiet=state.quiet,
    )  # fmt: skip
    if not state.accelerator.is_main_process:
        return []
    noise_files = state.targets.keep(state.data, folder)
    last = end_of_log(folder)
    facts = {
        "objective": settings.objective,
        "model": settings.model,
        "architecture": task.architecture,
        "prefix": task.prefix,
        "noise": dict(state.targets.noise),
        "preprocessing": _preprocessing(task, settings),
        "facts": dict(task.facts),
        "weights_hash": hash_weights(task.weights),
        "num_steps": last.get("step"),
        "final_loss": last.get("loss"),
        "wall_s": last.get("wall_s"),
    }
    write_weights(folder / WEIGHTS, task.weights, header=header_from(facts))
    write_record(folder / FACTS, facts)
    return [WEIGHTS, FACTS, LOG, *noise_files]


def _describe(state: _PretrainState) -> dict[str, Any]:
    facts, results = (read_record(state.out / name, next_step=START_AGAIN) for name in (FACTS, RESULTS))
    data = {"train": data_section(state.data), "test": data_section(state.test)}
    return {"training_s": facts.pop("wall_s"), **data, **facts, **results}


def _preprocessing(task: Task, settings: PretrainSettings) -> dict[str, Any]:
    return {
        "image_size": settings.image_size,
        "interpolation": "bicubic",
        "crop_share": settings.crop_share if settings.reading == "stream" else 1.0,
        "mean": list(task.normalise.mean),
        "std": list(task.normalise.std),
    } | dict(task.preprocessing)


def _targets(config: PretrainConfig, data: LabelledDataset, *, quiet: bool) -> Targets:
    """Labels or captions to learn from (SimCLR needs none), and the noise in them."""
    source: dict[str, Any] = {
        "manifest": config.noise_manifest,
        "seed": config.seed,
        "is_whole": is_whole(config, data),
    }
    if config.objective == "supervised":
        return noisy_labels(data, config.noise, **source)
    if config.captions == "classifier":
        return _classifier_targets(config, data, quiet=quiet)
    if config.objective == "image-text":
        labels, names = data.best_labels, data.class_names
        if config.caption is not None:
            return noisy_captions(data, np.array(names, dtype=object)[labels], config.noise, **source)
        captions = class_captions(labels, names, seed=config.seed)
        noisy = noisy_captions(data, captions, config.noise, **source, has_own=False)
        if not noisy.noise["kind"]:
            return noisy
        rate = wrong_class_rate(noisy.given, labels, names)
        return replace(noisy, noise=noisy.noise | {"wrong_class_rate": rate})
    return Targets(np.empty(0), NONE)


def _classifier_targets(config: PretrainConfig, data: Dataset, *, quiet: bool) -> Targets:
    """Captions from the ImageNet classifier of the locked image tower, to which no noise is added."""
    if config.noise or config.noise_manifest or config.caption:
        raise invalid("captions", "classifier", "'given' with noise, or with a column of captions")
    weight, bias = imagenet_classifier()
    rows = np.asarray(_features(config, data, quiet=quiet)) @ weight.T + bias
    captions = classifier_captions(
        softmax(rows, axis=1), imagenet_words(), num_draws=config.num_draws, seed=config.seed
    )
    return Targets(captions, NONE)


def _features(config: PretrainConfig, dataset: Dataset, *, quiet: bool) -> ShardedMatrix:
    backbone = open_backbone(locked_image_tower(config))
    return extract(dataset, backbone, store=config.cache, quiet=quiet).features


def _build_task(
    settings: PretrainSettings, data: Dataset, test: Dataset, given: np.ndarray, share: Share, *, seed: int
) -> Task:
    if settings.objective == "image-text":
        return image_text_task(settings, given, seed=seed, share=share)
    if data.class_names != test.class_names:
        raise BadData(
            f"{test.name!r} has the classes {', '.join(test.class_names[:5])}..., {data.name!r} has "
            f"{', '.join(data.class_names[:5])}...; allowed: the same in the same order. Next: give another "
            "--test."
        )
    if settings.objective == "supervised":
        return supervised_task(
            settings, given, num_classes=len(data.class_names), seed=seed, num_processes=share.world
        )
    return simclr_task(settings, seed=seed)


def _batches(state: _PretrainState, task: Task) -> AbstractBatches:
    settings, data = state.settings, state.data
    order = Order(len(data), settings.batch_size, state.config.seed, settings.repeats)
    if settings.reading == "features":
        return MatrixBatches(_features(state.config, data, quiet=state.quiet), order, task.columns)
    if settings.reading == "stream":
        return StreamBatches(
            data, order, settings.transform(), task.normalise, task.columns, task.views, task.recolour
        )
    pixels = decode_all(data, settings.image_size, quiet=state.quiet)
    return ArrayBatches(pixels, order, task.augmentation, task.normalise, task.columns, task.views)


def _evaluate(state: _PretrainState, stages: Stages, folder: Path) -> list[str]:
    """Test accuracy of the weights on disk, and the spectrum of their features."""
    task, weights = state.task, stages.path(WEIGHTS)
    load_exactly(task.weights, read_checkpoint(weights), source=str(weights))
    images = _reader(state, task, state.test)
    features = outputs(task.weights, task.features, images())
    if task.predict is not None:
        predicted = task.predict(images(), state.test.class_names)
    else:
        probe = LinearProbe(seed=state.config.seed)
        probe.fit(
            outputs(task.weights, task.features, _reader(state, task, state.data)()), state.data.best_labels
        )
        predicted = probe.predict(features)
    results = {task.metric: float((predicted == state.test.best_labels).mean())}
    write_record(folder / RESULTS, {"results": results, "spectrum": spectrum(features).to_json()})
    return [RESULTS]


def _reader(state: _PretrainState, task: Task, dataset: Dataset) -> Callable[[], Images]:
    """Start passes over all images, in order, in blocks; images in memory are decoded once."""
    if state.settings.reading == "stream":
        return lambda: stream_images(dataset, state.settings.transform(), task.normalise)
    starts = range(0, len(dataset), _ROWS)
    if state.settings.reading == "features":
        rows = _features(state.config, dataset, quiet=state.quiet)
        return lambda: (torch.from_numpy(np.array(rows[begin : begin + _ROWS])) for begin in starts)
    pixels = decode_all(dataset, state.settings.image_size, quiet=state.quiet)
    return lambda: (task.normalise(pixels[begin : begin + _ROWS]) for begin in starts)
