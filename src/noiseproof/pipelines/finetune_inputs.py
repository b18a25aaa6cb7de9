"""A fine-tuning that is about to begin: all is opened, and refused if need be, before any work."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from noiseproof.adapt.finetune_settings import FinetuneSettings
from noiseproof.adapt.initial_encoder import Start, open_start
from noiseproof.adapt.learnable import Tune
from noiseproof.adapt.reading import reader
from noiseproof.backbones.adapters.additions import Addition, tower_for
from noiseproof.config.finetune import FinetuneConfig
from noiseproof.core.errors import BadData, invalid
from noiseproof.core.files import digest
from noiseproof.core.records import Dataset, LabelledDataset
from noiseproof.data.classes import align_labels
from noiseproof.data.fingerprints import shared_with
from noiseproof.data.splits import stratified_split, subset
from noiseproof.detect.transition_estimate import TransitionEstimate, estimate_transition
from noiseproof.heads.estimators import LinearProbe
from noiseproof.losses.batch import has_memory, is_per_example
from noiseproof.losses.losses import Options, check_transition_given, needs_transition, resolve_options
from noiseproof.noise.applied import NONE, noise_sha256, noise_summary
from noiseproof.noise.manifest import load_manifest
from noiseproof.pipelines.identity import identity
from noiseproof.pipelines.inputs import Part, Parts, open_one, open_parts
from noiseproof.robust.meta_set import check_meta_set, held_out_meta_set
from noiseproof.training.networks import outputs

_PROBE_STEPS = 1000  # as a linear probe of `noiseproof run` has at most


@dataclass(eq=False)
class Tuning:
    """What the steps of one fine-tuning share.

    Attributes:
        config: which data, which encoder, how.
        command: how the user started it, for the card.
        quiet: no progress bars.
        accelerator: of `training.loop.accelerator_for`.
        parts: the data, opened, with labels that may be wrong.
        start: the encoder before.
        noise: what the card says of it.
        train: examples to learn from.
        validation: examples to select by.
        meta: examples with checked labels, for Meta-Weight-Net; `None` without it.
        identity: see `pipelines.cards.identity`.
    """

    config: FinetuneConfig
    command: str
    quiet: bool
    accelerator: Any
    parts: Parts
    start: Start
    noise: dict[str, Any]
    train: LabelledDataset
    validation: LabelledDataset
    meta: LabelledDataset | None
    identity: dict[str, Any]

    @cached_property
    def settings(self) -> FinetuneSettings:
        """How the encoder is trained."""
        return self.config.settings

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
        return digest([tests, list(self.config.wise_ft)])

    @cached_property
    def features(self) -> Float[np.ndarray, "n d"]:
        """Those before, of the examples to learn from."""
        encoder = copy.deepcopy(self.start.encoder).to(self.accelerator.device)
        images = reader(
            self.train, self.start, self.settings, is_read_again=False, quiet=self.quiet
        )  # fmt: skip
        return outputs(encoder, encoder, images())

    @cached_property
    def probe(self) -> LinearProbe:
        """A linear probe of them, on the given labels."""
        return LinearProbe(max_steps=_PROBE_STEPS, seed=self.config.seed).fit(
            self.features, self.given_labels
        )

    @cached_property
    def transition(self) -> TransitionEstimate | None:
        """Estimated from the same where the loss needs a transition matrix and none is given."""
        return (
            estimate_transition(self.features, self.given_labels)
            if _lacks_transition(self.settings)
            else None
        )

    @property
    def stays(self) -> Addition | None:
        """What is put into the encoder and stays beside its weights."""
        tune = Tune.parse(self.settings.tune)
        return tune.addition if tune.has_own_weights else None

    @property
    def loss_options(self) -> Options:
        """Complete."""
        own = self.settings.loss_options
        if self.transition is not None:
            own = own | {"transition": self.transition.matrix}
        return resolve_options(self.settings.loss, own)


def open_tuning(config: FinetuneConfig, accelerator: Any, *, command: str, quiet: bool) -> Tuning:
    """Open the data and the encoder, and refuse what can be refused, before any work.

    Raises:
        InvalidArgument: a setting, or a backbone that cannot be trained.
        BadData: data or manifest cannot be used.
    """
    return make_tuning(config, accelerator, open_parts(config), command=command, quiet=quiet)


def make_tuning(
    config: FinetuneConfig, accelerator: Any, parts: Parts, *, command: str, quiet: bool
) -> Tuning:
    """The state of a fine-tuning on opened data; arguments as in `Tuning`."""
    settings = config.settings
    _check_loss(settings, accelerator.num_processes)
    for part in parts.all:
        if part.dataset.kind != "image":
            raise BadData(
                f"{part.name!r} holds {part.dataset.kind}; allowed: images. Next: name another set."
            )
    start = open_start(config.backbone, settings, seed=config.seed)
    _check_tune(config, start)
    data, noise = parts.train.dataset, part_noise_summary(parts.train, manifest=config.noise_manifest)
    _check_transition(settings, len(data.class_names))
    meta, rows = _meta_set(config, data)
    if meta is not None and config.meta_set is not None:
        _check_apart(meta, parts)
    learning, held_out = stratified_split(
        data.given_labels[rows],
        test_fraction=settings.validation,
        seed=config.seed,
        class_names=data.class_names,
    )
    this = identity(
        settings, seed=config.seed, noise=noise, data=data, targets=data.given_labels,
        num_processes=accelerator.num_processes,
    )  # fmt: skip
    this |= {"preprocessing": start.preprocessing, "encoder": start.backbone.weights_hash}
    if meta is not None:
        this["meta"] = [meta.fingerprint, digest(meta.ids), digest(meta.given_labels)]
    return Tuning(
        config, command, quiet, accelerator, parts, start, noise, train=subset(data, rows[learning]),
        validation=subset(data, rows[held_out]), meta=meta, identity=json.loads(json.dumps(this)),
    )  # fmt: skip


def _meta_set(
    config: FinetuneConfig, data: LabelledDataset
) -> tuple[LabelledDataset | None, Int[np.ndarray, " n"]]:
    """The examples with checked labels, and the rows of the training part that are left."""
    rows = np.arange(len(data))
    if config.meta is None:
        return None, rows
    if config.meta_set is None:
        return held_out_meta_set(data, per_class=config.meta.per_class, seed=config.seed)
    whole = config.model_copy(update={"limit": None})
    opened = open_one(whole, config.meta_set, label=config.clean_label or config.label, clean_label=None)
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


def _check_loss(settings: FinetuneSettings, num_processes: int) -> None:
    name = settings.loss
    resolve_options(name, settings.loss_options)
    if settings.meta is not None and not is_per_example(name):
        raise invalid(
            "loss", name, "a loss of one example at a time with Meta-Weight-Net",
            "This one depends on the course of a training. Next: another loss, or leave `meta` out.",
        )  # fmt: skip
    if settings.meta is not None and settings.tune == "lora" and settings.precision != "float32":
        raise invalid(
            "precision", settings.precision, "float32 with Meta-Weight-Net and tune=lora",
            "peft casts its inputs, which has no forward mode.",
        )  # fmt: skip
    if has_memory(name) and num_processes > 1:
        raise invalid(
            "loss", name, "a loss without a memory of the examples in several processes",
            "Each would remember its own. Next: one process, or another loss.",
        )  # fmt: skip
    if has_memory(name) and settings.per_class is not None:
        raise invalid(
            "per_class", settings.per_class, f"nothing with the loss {name!r}",
            "A balanced epoch may have an example twice in a batch. Next: leave one of the two out.",
        )  # fmt: skip


def _check_tune(config: FinetuneConfig, start: Start) -> None:
    tune = Tune.parse(config.tune)
    if tune.addition is not None:
        tower_for(start.encoder, tune.addition)
    if tune.has_own_weights and config.wise_ft:
        raise invalid(
            "wise_ft", list(config.wise_ft), f"nothing with tune={config.tune}",
            "There is no network before with these prompts or adapters. Next: another tune, or no wise_ft.",
        )  # fmt: skip


def _check_transition(settings: FinetuneSettings, num_classes: int) -> None:
    """Fresh weights tell nothing of the noise: then the matrix has to be given."""
    if settings.init == "random" or not _lacks_transition(settings):
        options = resolve_options(settings.loss, settings.loss_options)
        check_transition_given(settings.loss, options, num_classes)


def _lacks_transition(settings: FinetuneSettings) -> bool:
    return needs_transition(settings.loss) and settings.loss_options.get("transition") is None


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
