"""Inputs of a fine-tuning: data and encoder are opened and every setting is checked before any work."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from noiseproof.adapt.finetune_settings import FinetuneSettings
from noiseproof.adapt.initial_encoder import InitialEncoder, load_initial_encoder
from noiseproof.adapt.learnable import TuneMode
from noiseproof.adapt.reading import reader
from noiseproof.backbones.adapters.additions import Addition, tower_for
from noiseproof.config.finetune import FinetuneConfig
from noiseproof.core.errors import BadData, invalid
from noiseproof.core.plurals import counted
from noiseproof.core.records import Dataset, LabelledDataset
from noiseproof.core.storage.files import digest
from noiseproof.data.classes import align_labels
from noiseproof.data.fingerprints import shared_with
from noiseproof.data.splits import stratified_split, subset
from noiseproof.detect.transition_estimate import TransitionEstimate, estimate_transition
from noiseproof.heads.estimators import LinearProbe
from noiseproof.losses.batch import has_memory, is_per_example
from noiseproof.losses.losses import Options, check_transition_given, needs_transition, resolve_options
from noiseproof.noise.applied import NONE, noise_sha256, noise_summary
from noiseproof.noise.manifest import load_manifest
from noiseproof.pipelines.inputs.data_parts import DataPart, DataParts
from noiseproof.pipelines.inputs.inputs import open_one, open_parts
from noiseproof.pipelines.outputs.identity import identity
from noiseproof.pipelines.training_flow import AbstractTrainingState
from noiseproof.robust.meta_set import check_meta_set, held_out_meta_set
from noiseproof.training.networks import outputs

_PROBE_STEPS = 1000  # as a linear probe of `noiseproof run` has at most


@dataclass(eq=False, kw_only=True)
class FinetuneState(AbstractTrainingState):
    """Configuration, data and initial encoder of one fine-tuning, shared by its steps.

    Attributes:
        parts: the data, opened, with labels that may be wrong.
        initial: the encoder before training.
        noise: section of the card.
        train: examples to learn from.
        validation: examples to select the best step by, labels as given.
        meta: examples with checked labels, for Meta-Weight-Net; `None` without it.
    """

    config: FinetuneConfig
    parts: DataParts
    initial: InitialEncoder
    noise: dict[str, Any]
    train: LabelledDataset
    validation: LabelledDataset
    meta: LabelledDataset | None

    @cached_property
    def settings(self) -> FinetuneSettings:
        """How the encoder is trained."""
        return self.config.settings

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by class id."""
        return self.train.class_names

    @property
    def evaluation_key(self) -> str:
        """Hash of the evaluation sets and of the weights to evaluate."""
        return digest([self.parts.test_key, list(self.config.wise_ft)])

    @cached_property
    def features(self) -> Float[np.ndarray, "n d"]:
        """Features of the training examples before training."""
        encoder = copy.deepcopy(self.initial.encoder).to(self.accelerator.device)
        images = reader(self.train, self.initial, self.settings, is_read_again=False, quiet=self.quiet)
        return outputs(encoder, encoder, images())

    @cached_property
    def probe(self) -> LinearProbe:
        """A linear probe of `features`, fitted to the given labels."""
        probe = LinearProbe(max_steps=_PROBE_STEPS, seed=self.config.seed)
        return probe.fit(self.features, self.train.given_labels)

    @cached_property
    def transition(self) -> TransitionEstimate | None:
        """Transition matrix estimated from `features`, where the loss needs one and none is given."""
        if not _needs_transition_matrix(self.settings):
            return None
        return estimate_transition(self.features, self.train.given_labels)

    @property
    def kept_addition(self) -> Addition | None:
        """Prompts or adapters that stay beside the weights of the encoder."""
        return TuneMode.parse(self.settings.tune).kept_addition

    @property
    def loss_options(self) -> Options:
        """Options of the loss, with defaults and, where it is estimated, the transition matrix."""
        own = self.settings.loss_options
        if self.transition is not None:
            own = own | {"transition": self.transition.matrix}
        return resolve_options(self.settings.loss, own)


def open_finetuning(config: FinetuneConfig, accelerator: Any, *, command: str, quiet: bool) -> FinetuneState:
    """Open the data, then prepare the fine-tuning.

    Raises:
        InvalidArgument: a setting, or a backbone that cannot be trained.
        BadData: data or manifest cannot be used.
    """
    return prepare_finetuning(config, accelerator, open_parts(config), command=command, quiet=quiet)


def prepare_finetuning(
    config: FinetuneConfig, accelerator: Any, parts: DataParts, *, command: str, quiet: bool
) -> FinetuneState:
    """Open the encoder and check the settings for data that is open; arguments as in `FinetuneState`.

    Raises:
        InvalidArgument: a setting, or a backbone that cannot be trained.
        BadData: data or manifest cannot be used.
    """
    settings = config.settings
    _check_loss(settings, accelerator.num_processes)
    parts.check_images()
    initial = load_initial_encoder(config.backbone, settings, seed=config.seed)
    _check_tune(config, initial)
    data, noise = parts.train.dataset, part_noise_summary(parts.train, manifest=config.noise_manifest)
    _check_transition(settings, len(data.class_names))
    meta, rows = _meta_set(config, data)
    if meta is not None and config.meta_set is not None:
        _check_meta_set_is_apart(meta, parts)
    learning, held_out = stratified_split(
        data.given_labels[rows], test_fraction=settings.validation, seed=config.seed,
        class_names=data.class_names,
    )  # fmt: skip
    more: dict[str, Any] = {"preprocessing": initial.preprocessing, "encoder": initial.backbone.weights_hash}
    if meta is not None:
        more["meta"] = [meta.fingerprint, digest(meta.ids), digest(meta.given_labels)]
    made_from = identity(
        settings, seed=config.seed, noise=noise, data=data, targets=data.given_labels,
        num_processes=accelerator.num_processes, more=more,
    )  # fmt: skip
    return FinetuneState(
        config=config, command=command, quiet=quiet, accelerator=accelerator,
        identity=made_from, parts=parts, initial=initial, noise=noise,
        train=subset(data, rows[learning]), validation=subset(data, rows[held_out]), meta=meta,
    )  # fmt: skip


def _meta_set(
    config: FinetuneConfig, data: LabelledDataset
) -> tuple[LabelledDataset | None, Int[np.ndarray, " n"]]:
    """The examples with checked labels, and the remaining rows of the training part."""
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


def _check_meta_set_is_apart(meta: Dataset, parts: DataParts) -> None:
    """Refuse examples with checked labels that are also trained, selected or tested on."""
    for part in parts.all:
        if shared := shared_with(meta, part.dataset):
            raise BadData(
                f"The meta set shares {counted(len(shared), 'example')} with {part.name!r}, for example "
                f"{shared[0]!r}; allowed: none, whether it is to learn from, to select by or to test on. "
                "Next: leave them out of one of the two."
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


def _check_tune(config: FinetuneConfig, initial: InitialEncoder) -> None:
    mode = TuneMode.parse(config.tune)
    if mode.addition is not None:
        tower_for(initial.encoder, mode.addition)
    if mode.kept_addition is not None and config.wise_ft:
        raise invalid(
            "wise_ft", list(config.wise_ft), f"nothing with tune={config.tune}",
            "The network before training has no such prompts or adapters. Next: another tune, or no wise_ft.",
        )  # fmt: skip


def _check_transition(settings: FinetuneSettings, num_classes: int) -> None:
    """Refuse to estimate a transition matrix from the features of fresh weights."""
    if settings.init == "random" or not _needs_transition_matrix(settings):
        options = resolve_options(settings.loss, settings.loss_options)
        check_transition_given(settings.loss, options, num_classes)


def _needs_transition_matrix(settings: FinetuneSettings) -> bool:
    return needs_transition(settings.loss) and settings.loss_options.get("transition") is None


def part_noise_summary(part: DataPart, *, manifest: Path | None) -> dict[str, Any]:
    """Noise in the labels of a part, for a card.

    Args:
        part: examples to learn from.
        manifest: folder that the noise was read from; `None` where it was drawn.
    """
    if part.noise is None:
        return dict(NONE)
    if manifest is not None:
        return noise_summary(part.noise, load_manifest(manifest).sha256)
    return noise_summary(part.noise, noise_sha256(part.dataset, part.noise))
