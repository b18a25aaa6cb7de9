"""The whole of a pre-training: data -> noise -> network -> training -> evaluation -> card.

`pretrain` below is that sentence. Like `pipeline.run` it is done once: a second start of the same goes on
where the first stopped, and does nothing where it had finished.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import softmax

from noiseproof.backbones.backbones import open_backbone
from noiseproof.backbones.bundled import imagenet_classifier
from noiseproof.backbones.weights import write_weights
from noiseproof.backbones.wording import imagenet_words
from noiseproof.config.data import default_cache
from noiseproof.core.errors import BadData, invalid
from noiseproof.core.files import write_json
from noiseproof.core.records import Dataset, LabelledDataset
from noiseproof.data.sources import open_dataset
from noiseproof.features.extract import extract
from noiseproof.features.matrix import ShardedMatrix
from noiseproof.heads.estimators import LinearProbe
from noiseproof.noise.applied import NONE
from noiseproof.pipelines.cards import CARD, evaluation, finished, identity, pretrain_card, weights_header
from noiseproof.pretrain.class_captions import class_captions, classifier_captions, wrong_class_rate
from noiseproof.pretrain.image_text import image_text_task, locked_image_tower
from noiseproof.pretrain.noisy_targets import (
    NoiseRequest,
    Targets,
    noisy_captions,
    noisy_labels,
)
from noiseproof.pretrain.pretrain_settings import Settings
from noiseproof.pretrain.simclr import simclr_task
from noiseproof.pretrain.supervised import supervised_task
from noiseproof.pretrain.task import Task
from noiseproof.training.batches import AbstractBatches, ArrayBatches, MatrixBatches
from noiseproof.training.decoded_images import decode_all
from noiseproof.training.loop import CHECKPOINT, TrainingSchedule, accelerator_for, train
from noiseproof.training.networks import Images, outputs
from noiseproof.training.optimizers import make_optimizer
from noiseproof.training.order import AbstractOrder, Order, Share
from noiseproof.training.streaming import StreamBatches, stream_images

WEIGHTS = "model.safetensors"
_ROWS = 500  # images per call when nothing is learned


@dataclass(frozen=True)
class Job:
    """One pre-training.

    Attributes:
        settings: how.
        train: data set to learn from.
        test: data set to evaluate on, with clean labels; it decides nothing.
        out: folder of weights, card, log, checkpoint and noise manifest.
        noise: of labels or captions.
        seed: of noise, initial weights, order and augmentation.
        label: column of the labels.
        image: column of the images.
        caption: column of the captions; without it they are made from class names.
        limit: at most this many random examples of each data set.
        command: what the user typed, for the card.
        quiet: no progress bars.
        cache: features of locked image towers; `None` is where 'noiseproof run' keeps its own.
    """

    settings: Settings
    train: str
    test: str
    out: Path
    noise: NoiseRequest = field(default_factory=NoiseRequest)
    seed: int = 0
    label: str | None = None
    image: str | None = None
    caption: str | None = None
    limit: int | None = None
    command: str = "noiseproof.pipelines.pretrain.pretrain(...)"
    quiet: bool = False
    cache: Path | None = None


def pretrain(job: Job) -> dict[str, Any]:
    """An encoder from data with known noise.

    Returns:
        The card, as `card.json` has it.

    Raises:
        CheckpointMismatch: `out` has another training.
        BadData: data or manifest cannot be used.
    """
    accelerator = accelerator_for(job.settings.precision)
    data, test = _open(job, job.train, label=job.caption or job.label), _open(job, job.test, label=job.label)
    targets, labels = _targets(job, data), test.best_labels
    this = identity(
        job.settings, seed=job.seed, noise=targets.noise, data=data, targets=targets.given,
        num_processes=accelerator.num_processes,
    )  # fmt: skip
    evaluated = evaluation(test, labels)
    done = finished(job.out, this, evaluated=evaluated)
    if done is not None:
        return done
    task = _task(job, data, test, targets.given, Share(accelerator.process_index, accelerator.num_processes))
    optimizer = make_optimizer(
        task.model, job.settings.optimizer, learning_rate=job.settings.learning_rate,
        weight_decay=job.settings.weight_decay, momentum=job.settings.momentum,
    )  # fmt: skip
    batches = _batches(job, task, data)
    train(
        task.model, batches, task.loss, optimizer, schedule=_schedule(job, batches.order),
        accelerator=accelerator, folder=job.out, identity=this, quiet=job.quiet,
    )  # fmt: skip
    if not accelerator.is_main_process:
        return {}
    results, features = _evaluated(job, task, data, test, labels)
    targets.keep(data, job.out)  # not before: a command that is refused must leave that of another alone
    card = pretrain_card(
        task=task, settings=job.settings, seed=job.seed, command=job.command, folder=job.out, train=data,
        test=test, noise=targets.noise, results=results, test_features=features, this=this,
        evaluated=evaluated,
    )  # fmt: skip
    write_weights(job.out / WEIGHTS, task.weights, header=weights_header(card))
    write_json(job.out / CARD, card)
    (job.out / CHECKPOINT).unlink(missing_ok=True)
    return card


def _open(job: Job, name: str, *, label: str | None) -> LabelledDataset:
    return open_dataset(name, label=label, image=job.image, limit=job.limit, seed=job.seed)


def _targets(job: Job, data: LabelledDataset) -> Targets:
    """Labels or captions to learn from (SimCLR needs none), and the noise in them."""
    is_whole = job.limit is None and data.num_skipped == 0
    if job.settings.objective == "supervised":
        return noisy_labels(data, job.noise, is_whole=is_whole)
    if job.settings.captions == "classifier":
        return _seen_by_classifier(job, data)
    if job.settings.objective == "image-text":
        labels, names = data.best_labels, data.class_names
        if job.caption is not None:
            return noisy_captions(data, np.array(names, dtype=object)[labels], job.noise, is_whole=is_whole)
        made = class_captions(labels, names, seed=job.seed)
        found = noisy_captions(data, made, job.noise, is_whole=is_whole, has_own=False)
        wrong = (
            {"wrong_class_rate": wrong_class_rate(found.given, labels, names)} if found.noise["kind"] else {}
        )
        return replace(found, noise=found.noise | wrong)
    return Targets(np.empty(0), NONE)


def _seen_by_classifier(job: Job, data: Dataset) -> Targets:
    """Captions without labels; noise of captions has no meaning here."""
    if job.noise.rate or job.noise.manifest or job.caption:
        raise invalid("captions", "classifier", "'given' with noise, or with a column of captions")
    weight, bias = imagenet_classifier()
    rows = np.asarray(_features(job, data)) @ weight.T + bias
    captions = classifier_captions(
        softmax(rows, axis=1), imagenet_words(), num_draws=job.settings.num_draws, seed=job.seed
    )
    return Targets(captions, NONE)


def _features(job: Job, dataset: Dataset) -> ShardedMatrix:
    """Of a locked image tower; computed once and kept."""
    backbone = open_backbone(locked_image_tower(job.settings))
    return extract(dataset, backbone, store=job.cache or default_cache(), quiet=job.quiet).features


def _task(job: Job, data: Dataset, test: Dataset, given: np.ndarray, share: Share) -> Task:
    if job.settings.objective == "image-text":
        return image_text_task(job.settings, given, seed=job.seed, share=share)
    if data.class_names != test.class_names:
        raise BadData(
            f"{test.name!r} has the classes {', '.join(test.class_names[:5])}..., {data.name!r} has "
            f"{', '.join(data.class_names[:5])}...; allowed: the same in the same order. Next: give another "
            "--test."
        )
    if job.settings.objective == "supervised":
        return supervised_task(
            job.settings, given, num_classes=len(data.class_names), seed=job.seed, num_processes=share.world
        )
    return simclr_task(job.settings, seed=job.seed)


def _batches(job: Job, task: Task, data: Dataset) -> AbstractBatches:
    settings = job.settings
    order = Order(len(data), settings.batch_size, job.seed, settings.repeats)
    if settings.reading == "features":
        return MatrixBatches(_features(job, data), order, task.columns)
    if settings.reading == "stream":
        return StreamBatches(
            data, order, settings.transform(), task.normalise, task.columns, task.views, task.recolour
        )
    pixels = decode_all(data, settings.image_size, quiet=job.quiet)
    return ArrayBatches(pixels, order, task.augmentation, task.normalise, task.columns, task.views)


def _schedule(job: Job, order: AbstractOrder) -> TrainingSchedule:
    settings = job.settings
    return TrainingSchedule(
        num_steps=settings.epochs * order.steps_per_epoch,
        warmup_steps=round(settings.warmup_epochs * order.steps_per_epoch),
        precision=settings.precision,
        accumulation=settings.accumulation,
        max_grad_norm=settings.max_grad_norm,
        seed=job.seed,
        checkpoint_steps=settings.checkpoint_steps,
    )


def _evaluated(
    job: Job, task: Task, data: LabelledDataset, test: Dataset, labels: np.ndarray
) -> tuple[dict[str, float], np.ndarray]:
    """Accuracy on clean test labels, and the features of the test images."""
    images = _reader(job, task, test)
    features = outputs(task.weights, task.features, images())
    if task.predict is not None:
        said = task.predict(images(), test.class_names)
    else:
        probe = LinearProbe(seed=job.seed)
        probe.fit(outputs(task.weights, task.features, _reader(job, task, data)()), data.best_labels)
        said = probe.predict(features)
    return {task.metric: float((said == labels).mean())}, features


def _reader(job: Job, task: Task, dataset: Dataset) -> Callable[[], Images]:
    """All images in order, in blocks, as often as asked; small ones are decoded only once."""
    if job.settings.reading == "stream":
        return lambda: stream_images(dataset, job.settings.transform(), task.normalise)
    starts = range(0, len(dataset), _ROWS)
    if job.settings.reading == "features":
        rows = _features(job, dataset)
        return lambda: (torch.from_numpy(np.array(rows[begin : begin + _ROWS])) for begin in starts)
    pixels = decode_all(dataset, job.settings.image_size, quiet=job.quiet)
    return lambda: (task.normalise(pixels[begin : begin + _ROWS]) for begin in starts)
