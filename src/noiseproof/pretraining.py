"""The whole of a pre-training: data -> noise -> network -> training -> evaluation -> card.

Like `pipeline.run` it leaves files and is done once: a second start goes on where the first stopped.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from noiseproof import card
from noiseproof.atomic import write_json
from noiseproof.backbones.weights import hash_weights, write_weights
from noiseproof.data.sources import open_dataset
from noiseproof.diagnose.spectrum import spectrum
from noiseproof.errors import BadData, invalid
from noiseproof.noise.labels import corrupt_labels
from noiseproof.pretrain.encode import outputs
from noiseproof.pretrain.settings import Settings
from noiseproof.pretrain.supervised import supervised_loss
from noiseproof.pretrain.towers import classifier, normaliser, pooled
from noiseproof.records import Dataset
from noiseproof.training.augment import PadCropFlip
from noiseproof.training.batches import ArrayBatches
from noiseproof.training.images import decode_all
from noiseproof.training.loop import LOG, Plan, accelerator_for, train
from noiseproof.training.optimizers import make_optimizer
from noiseproof.training.order import Order

WEIGHTS, CARD = "model.safetensors", "card.json"
SCHEMA = 1


@dataclass(frozen=True)
class Job:
    """One pre-training.

    Attributes:
        settings: how.
        train: data set to learn from.
        test: data set to evaluate on, with clean labels; it decides nothing.
        out: folder of weights, card, log and checkpoint.
        noise: kind of label noise; `None` keeps the labels as they are.
        rate: of the noise, in [0, 1].
        seed: of noise, initial weights, order and augmentation.
        label: column of the labels.
        image: column of the images.
        limit: at most this many random examples of each data set.
        command: what the user typed, for the card.
        quiet: no progress bars.
    """

    settings: Settings
    train: str
    test: str
    out: Path
    noise: str | None = None
    rate: float | None = None
    seed: int = 0
    label: str | None = None
    image: str | None = None
    limit: int | None = None
    command: str = "noiseproof.pretraining"
    quiet: bool = False
    say: Callable[[str], None] = field(default=lambda line: None)


def pretrain_supervised(job: Job) -> dict[str, Any]:
    """An image encoder from labels, some of them wrong.

    Returns:
        The card, as `card.json` has it.
    """
    data, test = _open(job, job.train), _open(job, job.test)
    labels, noise = _labels(job, data)
    identity = _identity(job, data, noise)
    done = _finished(job.out, identity)
    if done is not None:
        return done
    model = classifier(job.settings, num_classes=len(data.class_names), seed=job.seed)
    normalise = normaliser(model)
    _train(
        job, model, identity, supervised_loss(job.settings, num_classes=len(data.class_names)),
        pixels=decode_all(data, job.settings.image_size, quiet=job.quiet),
        columns={"given_labels": labels},
    )  # fmt: skip
    pixels = decode_all(test, job.settings.image_size, quiet=job.quiet)
    said = outputs(model, pixels, normalise).argmax(axis=1)
    features = outputs(model, pixels, normalise, call=pooled(model))
    results = {"test_accuracy": float((said == _clean(test)).mean())}
    return _finish(job, model, data, test, noise, identity, results, features)


def _train(
    job: Job, model: nn.Module, identity: Mapping[str, Any], loss: Any, *, pixels: np.ndarray,
    columns: Mapping[str, np.ndarray],
) -> None:  # fmt: skip
    settings = job.settings
    order = Order(len(pixels), settings.batch_size, job.seed, settings.repeats)
    batches = ArrayBatches(
        pixels, order, PadCropFlip(settings.padding, settings.use_flip), normaliser(model), columns
    )
    optimizer = make_optimizer(
        model, settings.optimizer, learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay, momentum=settings.momentum,
    )  # fmt: skip
    plan = Plan(
        num_steps=settings.epochs * order.steps_per_epoch,
        warmup_steps=round(settings.warmup_epochs * order.steps_per_epoch),
        precision=settings.precision,
        accumulation=settings.accumulation,
        max_grad_norm=settings.max_grad_norm,
        seed=job.seed,
        checkpoint_steps=settings.checkpoint_steps,
    )
    train(
        model, batches, loss, optimizer, plan=plan, accelerator=accelerator_for(settings.precision),
        folder=job.out, identity=identity, quiet=job.quiet,
    )  # fmt: skip


def _open(job: Job, name: str) -> Dataset:
    return open_dataset(name, label=job.label, image=job.image, limit=job.limit, seed=job.seed)


def _clean(dataset: Dataset) -> np.ndarray:
    labels = dataset.given_labels if dataset.clean_labels is None else dataset.clean_labels
    if labels is None:
        raise BadData(f"{dataset.name!r} has no labels; allowed: a label per example. Next: name the column.")
    return labels


def _labels(job: Job, data: Dataset) -> tuple[np.ndarray, dict[str, Any]]:
    """The labels to learn from, and what the card says of them."""
    if job.noise is None:
        if job.rate:
            raise invalid("rate", job.rate, "nothing without --label-noise", "Next: --label-noise symmetric.")
        return _clean(data), {"kind": None, "asked_rate": 0.0, "realised_rate": 0.0}
    noisy = corrupt_labels(
        _clean(data), kind=job.noise, rate=job.rate, num_classes=len(data.class_names), seed=job.seed
    )
    said = {"kind": noisy.kind, "asked_rate": noisy.asked_rate, "realised_rate": noisy.realised_rate}
    return noisy.given, said | {"seed": noisy.seed}


def _identity(job: Job, data: Dataset, noise: Mapping[str, Any]) -> dict[str, Any]:
    """What a training is: two with the same identity end with the same weights."""
    settings = job.settings.model_dump(exclude_defaults=True, exclude={"checkpoint_steps", "workers"})
    return {
        **{f"settings.{key}": value for key, value in settings.items()},
        **{f"noise.{key}": value for key, value in noise.items()},
        "seed": job.seed,
        "data": data.fingerprint,
    }


def _finished(out: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    path = out / CARD
    if not path.exists():
        return None
    found = json.loads(path.read_text())
    if found["identity"] != json.loads(json.dumps(identity)):
        raise invalid(
            "out", str(out), "a new folder or one of the same training", "Next: give another --out."
        )
    return found


def _finish(
    job: Job, model: nn.Module, data: Dataset, test: Dataset, noise: Mapping[str, Any],
    identity: Mapping[str, Any], results: Mapping[str, float], features: np.ndarray,
) -> dict[str, Any]:  # fmt: skip
    write_weights(job.out / WEIGHTS, model)
    log = [json.loads(line) for line in (job.out / LOG).read_text().splitlines()]
    normalise = normaliser(model)
    made = {
        "schema": SCHEMA,
        "objective": job.settings.objective,
        "architecture": job.settings.model,
        "command": job.command,
        "settings": job.settings.model_dump(),
        "seed": job.seed,
        "data": {
            "train": {"name": data.name, "num_examples": len(data), "fingerprint": data.fingerprint},
            "test": {"name": test.name, "num_examples": len(test), "fingerprint": test.fingerprint},
            "class_names": list(data.class_names),
        },
        "noise": dict(noise),
        "preprocessing": {
            "image_size": job.settings.image_size,
            "mean": list(normalise.mean),
            "std": list(normalise.std),
        },
        "results": dict(results),
        "spectrum": spectrum(features).to_json(),
        "weights_hash": hash_weights(model),
        "num_steps": log[-1]["step"],
        "final_loss": log[-1]["loss"],
        "wall_s": log[-1]["wall_s"],
        "versions": card.versions(),
        "hardware": card.hardware(),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "identity": dict(identity),
    }
    write_json(job.out / CARD, made)
    return made
