"""A fine-tuning that is about to begin: all is opened, and refused if need be, before any work."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from noiseproof.adapt.finetune_settings import MetaSettings
from noiseproof.adapt.initial_encoder import Start, open_start
from noiseproof.adapt.learnable import Tune
from noiseproof.adapt.reading import reader
from noiseproof.backbones.adapters.additions import Addition, tower_for
from noiseproof.config.adapt import FinetuneJob, data_config
from noiseproof.config.run import RunConfig
from noiseproof.core.checks import check_share
from noiseproof.core.errors import BadData, invalid
from noiseproof.core.files import digest
from noiseproof.core.records import Dataset, LabelledDataset
from noiseproof.data.classes import align_labels
from noiseproof.data.fingerprints import shared_with
from noiseproof.data.splits import stratified_split, subset
from noiseproof.detect.transition_estimate import TransitionEstimate, estimate_transition
from noiseproof.heads.estimators import LinearProbe
from noiseproof.losses.batch import is_of_one_example, remembers
from noiseproof.losses.losses import Options, check_complete, needs_transition, resolved
from noiseproof.noise.applied import NONE, noise_sha256, noise_summary
from noiseproof.noise.manifest import load_manifest
from noiseproof.pipelines.cards import identity
from noiseproof.pipelines.inputs import Part, Parts, open_one, open_parts
from noiseproof.robust.meta_set import check_meta_set, held_out_meta_set
from noiseproof.training.networks import outputs

_PROBE_STEPS = 1000  # as a linear probe of `noiseproof run` has at most


@dataclass(eq=False)
class Tuning:
    """What the steps of one fine-tuning share.

    Attributes:
        job: what was asked for.
        accelerator: of `training.loop.accelerator_for`.
        config: which data.
        parts: those, opened, with labels that may be wrong.
        start: the encoder before.
        noise: what the card says of it.
        train: examples to learn from.
        validation: examples to select by.
        meta: examples with checked labels, for Meta-Weight-Net; `None` without it.
        identity: see `pipelines.cards.identity`.
    """

    job: FinetuneJob
    accelerator: Any
    config: RunConfig
    parts: Parts
    start: Start
    noise: dict[str, Any]
    train: LabelledDataset
    validation: LabelledDataset
    meta: LabelledDataset | None
    identity: dict[str, Any]

    @property
    def out(self) -> Path:
        """Folder of everything that is written."""
        return self.config.out

    @property
    def class_names(self) -> tuple[str, ...]:
        """By class id."""
        return self.train.class_names

    @property
    def given_labels(self) -> Int[np.ndarray, " n"]:
        """Of the examples to learn from."""
        return self.train.given_labels

    @property
    def meta_labels(self) -> Int[np.ndarray, " m"]:
        """Of the examples with checked labels."""
        assert self.meta is not None
        return self.meta.given_labels

    @property
    def held_out_labels(self) -> Int[np.ndarray, " n"]:
        """Of the examples to select by, as given, too."""
        return self.validation.given_labels

    @cached_property
    def evaluated(self) -> str:
        """Hash of what it is evaluated on."""
        tests = [[part.name, part.dataset.fingerprint, part.best_labels] for part in self.parts.tests]
        return digest([tests, list(self.job.wise_ft)])

    @cached_property
    def features(self) -> Float[np.ndarray, "n d"]:
        """Those before, of the examples to learn from."""
        encoder = copy.deepcopy(self.start.encoder).to(self.accelerator.device)
        images = reader(
            self.train, self.start, self.job.settings, is_read_again=False, quiet=self.job.quiet
        )  # fmt: skip
        return outputs(encoder, encoder, images())

    @cached_property
    def probe(self) -> LinearProbe:
        """A linear probe of them, on the given labels."""
        return LinearProbe(max_steps=_PROBE_STEPS, seed=self.job.seed).fit(self.features, self.given_labels)

    @cached_property
    def transition(self) -> TransitionEstimate | None:
        """Estimated from the same where the loss needs a transition matrix and none is given."""
        return estimate_transition(self.features, self.given_labels) if _lacks_transition(self.job) else None

    @property
    def stays(self) -> Addition | None:
        """What is put into the encoder and stays beside its weights."""
        tune = Tune.parse(self.job.settings.tune)
        return tune.addition if tune.has_own_weights else None

    @property
    def loss_options(self) -> Options:
        """Complete."""
        own = self.job.settings.loss_options
        if self.transition is not None:
            own = own | {"transition": self.transition.matrix}
        return resolved(self.job.settings.loss, own)


def open_tuning(job: FinetuneJob, accelerator: Any) -> Tuning:
    """Everything that can be refused, before any work.

    Raises:
        InvalidArgument: a setting, or a backbone that cannot be trained.
        BadData: data or manifest cannot be used.
    """
    job = _with_meta_settings(job)
    for alpha in job.wise_ft:
        check_share(alpha, "wise_ft")
    config = data_config(job)
    return make_tuning(job, accelerator, config, open_parts(config))


def make_tuning(job: FinetuneJob, accelerator: Any, config: RunConfig, parts: Parts) -> Tuning:
    """The same of data that is open already.

    Args:
        job: what was asked for.
        accelerator: of `training.loop.accelerator_for`.
        config: which data.
        parts: those.
    """
    _check_loss(job, accelerator.num_processes)
    for part in parts.all:
        if part.dataset.kind != "image":
            raise BadData(
                f"{part.name!r} holds {part.dataset.kind}; allowed: images. Next: name another set."
            )
    start = open_start(job.backbone, job.settings, seed=job.seed)
    _check_tune(job, start)
    data, noise = parts.train.dataset, part_noise_summary(parts.train, manifest=job.noise_manifest)
    _check_transition(job, len(data.class_names))
    meta, rows = _meta_set(job, config, data)
    if meta is not None and job.meta is not None:
        _check_apart(meta, parts)
    learning, held_out = stratified_split(
        data.given_labels[rows],
        test_fraction=job.settings.validation,
        seed=job.seed,
        class_names=data.class_names,
    )
    this = identity(
        job.settings, seed=job.seed, noise=noise, data=data, targets=data.given_labels,
        num_processes=accelerator.num_processes,
    )  # fmt: skip
    this |= {"preprocessing": start.preprocessing, "encoder": start.backbone.weights_hash}
    if meta is not None:
        this["meta"] = [meta.fingerprint, digest(meta.ids), digest(meta.given_labels)]
    return Tuning(
        job, accelerator, config, parts, start, noise, train=subset(data, rows[learning]),
        validation=subset(data, rows[held_out]), meta=meta, identity=json.loads(json.dumps(this)),
    )  # fmt: skip


def _meta_set(
    job: FinetuneJob, config: RunConfig, data: LabelledDataset
) -> tuple[LabelledDataset | None, Int[np.ndarray, " n"]]:
    """The examples with checked labels, and the rows of the training part that are left."""
    rows = np.arange(len(data))
    if job.meta is None and job.settings.meta is None:
        return None, rows
    if job.meta is None:
        assert job.settings.meta is not None
        return held_out_meta_set(data, per_class=job.settings.meta.per_class, seed=job.seed)
    whole = config.model_copy(update={"limit": None})
    opened = open_one(whole, job.meta, label=config.clean_label or config.label, clean_label=None)
    meta = align_labels(opened, data.class_names)
    check_meta_set(meta.ids, meta.given_labels, num_classes=len(data.class_names), others={})
    return meta, rows


def _check_apart(meta: Dataset, parts: Parts) -> None:
    """The examples with checked labels are none to learn from, to select by or to test on."""
    for part in parts.all:
        if shared := shared_with(meta, part.dataset):
            raise BadData(
                f"The meta set shares {len(shared)} examples with {part.name!r}, for example {shared[0]!r}; "
                "allowed: none, whether it is to learn from, to select by or to test on. Next: leave them "
                "out of one of the two."
            )


def _with_meta_settings(job: FinetuneJob) -> FinetuneJob:
    """A meta set of one's own asks for Meta-Weight-Net; the settings say so, then, for card and identity."""
    if job.meta is None or job.settings.meta is not None:
        return job
    return replace(job, settings=job.settings.model_copy(update={"meta": MetaSettings()}))


def _check_loss(job: FinetuneJob, num_processes: int) -> None:
    name = job.settings.loss
    resolved(name, job.settings.loss_options)
    if job.settings.meta is not None and not is_of_one_example(name):
        raise invalid(
            "loss", name, "a loss of one example at a time with Meta-Weight-Net",
            "This one depends on the course of a training. Next: another loss, or leave `meta` out.",
        )  # fmt: skip
    if job.settings.meta is not None and job.settings.tune == "lora" and job.settings.precision != "float32":
        raise invalid(
            "precision", job.settings.precision, "float32 with Meta-Weight-Net and tune=lora",
            "peft casts its inputs, which has no forward mode.",
        )  # fmt: skip
    if remembers(name) and num_processes > 1:
        raise invalid(
            "loss", name, "a loss without a memory of the examples in several processes",
            "Each would remember its own. Next: one process, or another loss.",
        )  # fmt: skip
    if remembers(name) and job.settings.per_class is not None:
        raise invalid(
            "per_class", job.settings.per_class, f"nothing with the loss {name!r}",
            "A balanced epoch may have an example twice in a batch. Next: leave one of the two out.",
        )  # fmt: skip


def _check_tune(job: FinetuneJob, start: Start) -> None:
    tune = Tune.parse(job.settings.tune)
    if tune.addition is not None:
        tower_for(start.encoder, tune.addition)
    if tune.has_own_weights and job.wise_ft:
        raise invalid(
            "wise_ft", list(job.wise_ft), f"nothing with tune={job.settings.tune}",
            "There is no network before with these prompts or adapters. Next: another tune, or no wise_ft.",
        )  # fmt: skip


def _check_transition(job: FinetuneJob, num_classes: int) -> None:
    """Fresh weights tell nothing of the noise: then the matrix has to be given."""
    if job.settings.init == "random" or not _lacks_transition(job):
        options = resolved(job.settings.loss, job.settings.loss_options)
        check_complete(job.settings.loss, options, num_classes)


def _lacks_transition(job: FinetuneJob) -> bool:
    return needs_transition(job.settings.loss) and job.settings.loss_options.get("transition") is None


def part_noise_summary(part: Part, *, manifest: Path | None) -> dict[str, Any]:
    """Noise in the labels of a part, for a card.

    Args:
        part: to learn from.
        manifest: folder that the noise was read from, if it was.
    """
    if part.noise is None:
        return dict(NONE)
    if manifest is not None:
        return noise_summary(part.noise, load_manifest(manifest).sha256)
    return noise_summary(part.noise, noise_sha256(part.dataset, part.noise))
