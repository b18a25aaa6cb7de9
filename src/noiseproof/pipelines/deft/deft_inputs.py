"""A DeFT that is about to begin: all is opened, and refused if need be, before any work; and what it kept."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import nn

from noiseproof.adapt.initial_encoder import Start, open_start
from noiseproof.adapt.learnable import Tune
from noiseproof.backbones.adapters.additions import tower_for
from noiseproof.backbones.adapters.tower_layout import has_blocks
from noiseproof.backbones.backbones import check_name, open_backbone
from noiseproof.backbones.base import AbstractBackbone
from noiseproof.backbones.pixels import ImageBackbone
from noiseproof.backbones.text_towers import SHARED_SPACE, PromptTower, open_prompt_tower
from noiseproof.backbones.weights import hash_weights
from noiseproof.config.deft import NONE, DeftConfig, DeftSettings
from noiseproof.core.errors import BadData, invalid
from noiseproof.core.files import digest
from noiseproof.core.records import Dataset, LabelledDataset, rows_by_id
from noiseproof.features.extract import extract
from noiseproof.pipelines.finetune_inputs import part_noise_summary
from noiseproof.pipelines.identity import identity
from noiseproof.pipelines.inputs import Part, Parts, open_parts

SCORES = "scores.parquet"


@dataclass(frozen=True, eq=False)
class Scores:
    """Of every example of a data set, in its order.

    Attributes:
        p_clean: that the given label is right.
        is_clean: the selection.
        suggested: class ids.
    """

    p_clean: Float[np.ndarray, " n"]
    is_clean: Bool[np.ndarray, " n"]
    suggested: Int[np.ndarray, " n"]


@dataclass(eq=False)
class Selecting:
    """What the steps of one DeFT share.

    Attributes:
        config: which data, which model, how.
        command: how the user started it, for the card.
        quiet: no progress bars.
        accelerator: of `training.loop.accelerator_for`.
        settings: of phase 1, with `tune` decided.
        parts: the data, opened, with labels that may be wrong.
        start: the image tower before, in the shared space.
        text: the text tower for the classes.
        noise: what the card says of it.
        identity: see `pipelines.cards.identity`.
    """

    config: DeftConfig
    command: str
    quiet: bool
    accelerator: Any
    settings: DeftSettings
    parts: Parts
    start: Start
    text: PromptTower
    noise: dict[str, Any]
    identity: dict[str, Any]

    @property
    def out(self) -> Path:
        """Folder of everything that is written."""
        return self.config.out

    @property
    def data(self) -> LabelledDataset:
        """The examples that are judged."""
        return self.parts.train.dataset

    @property
    def given_labels(self) -> Int[np.ndarray, " n"]:
        """Theirs."""
        return self.parts.train.given_labels

    @property
    def tune(self) -> Tune | None:
        """What of the image tower learns."""
        return None if self.settings.is_prompts_only else Tune.parse(str(self.settings.tune))

    @property
    def evaluated(self) -> str:
        """Hash of phase 2 and of what is evaluated on."""
        tests = [[part.name, part.dataset.fingerprint, part.best_labels] for part in self.parts.tests]
        settings = self.config.phase2_settings.model_dump() if self.config.phase2 == "full" else None
        return digest([tests, self.config.phase2, self.config.phase2_backbone, settings])


def open_selecting(config: DeftConfig, accelerator: Any, *, command: str, quiet: bool) -> Selecting:
    """Open the data and the model, and refuse what can be refused, before any work.

    Raises:
        InvalidArgument: a setting, a model without a text tower, an image tower that cannot be tuned so.
        BadData: data or manifest cannot be used, or class names that no text tower can tell apart.
    """
    parts = open_parts(config)
    for part in parts.all:
        if part.dataset.kind != "image":
            raise BadData(
                f"{part.name!r} holds {part.dataset.kind}; allowed: images. Next: name another set."
            )
    _check_phase_two(config)
    data = parts.train.dataset
    text = open_prompt_tower(config.model, data.class_names)
    start = _image_tower(config.model)
    settings = config.settings.model_copy(update={"tune": _tune_of(config, start)})
    noise = part_noise_summary(parts.train, manifest=config.noise_manifest)
    this = identity(
        settings, seed=config.seed, noise=noise, data=data, targets=parts.train.given_labels,
        num_processes=accelerator.num_processes,
    )  # fmt: skip
    this |= {
        "model": config.model,
        "encoder": start.backbone.weights_hash,
        "text": hash_weights(text),
        "class_names": list(data.class_names),
    }
    return Selecting(
        config, command, quiet, accelerator, settings, parts, start, text, noise, json.loads(json.dumps(this))
    )


def _image_tower(name: str) -> Start:
    backbone = open_backbone(name, layer=SHARED_SPACE)
    if not isinstance(backbone, ImageBackbone):
        raise invalid("model", name, "an image-text model", "Next: open_clip:ARCH/TAG.")
    encoder: Any = copy.deepcopy(backbone.module.encoder)
    return Start(
        encoder=encoder.requires_grad_(True).train(),
        backbone=backbone,
        architecture=name,
        preprocessing={"image_size": len(backbone.prepare(Image.new("RGB", (64, 64))))},
    )


def _tune_of(config: DeftConfig, start: Start) -> str:
    """What was asked for, or what suits the tower."""
    asked = config.tune
    if asked is None:
        is_fit = not config.model.startswith("bundled:") and has_blocks(start.encoder)
        return "vpt-deep:20" if is_fit else NONE
    addition = None if asked == NONE else Tune.parse(asked).addition
    if addition is not None:
        tower_for(start.encoder, addition)
    return asked


def _check_phase_two(config: DeftConfig) -> None:
    """An encoder that phase 2 cannot use is told before phase 1 is done."""
    if config.phase2_backbone is not None:
        check_name(config.phase2_backbone)
    if config.phase2 == "full":
        open_start(str(config.phase2_backbone), config.phase2_settings, seed=config.seed)


def read_scores(path: Path, dataset: Dataset) -> Scores:
    """What phase 1 kept of the examples of a data set, by their ids.

    Args:
        path: of `scores.parquet`.
        dataset: whose examples; the file may have others, too, in any order.

    Raises:
        BadData: an example that was never judged, or a class that is none of the data set's.
    """
    frame = pd.read_parquet(path)
    rows, missing = rows_by_id(dataset.ids, frame["example_id"].to_numpy())
    if missing:
        raise BadData(
            f"{str(path)!r} has no score of {len(missing)} examples of {dataset.name!r}, for example "
            f"{missing[0]!r}; allowed: scores of this data set. Next: run phase 1 on it."
        )
    places = {name: number for number, name in enumerate(dataset.class_names)}
    names = frame["suggested_label"].to_numpy()[rows]
    if unknown := sorted(set(names) - places.keys()):
        raise BadData(
            f"{str(path)!r} suggests {unknown[0]!r}, which is no class of {dataset.name!r}; allowed: scores "
            "of this data set. Next: run phase 1 on it."
        )
    suggested = np.array([places[name] for name in names], np.int64)
    return Scores(frame["p_clean"].to_numpy()[rows], frame["is_clean"].to_numpy()[rows], suggested)


def features_of(this: Selecting, part: Part, backbone: AbstractBackbone) -> Float[np.ndarray, "n d"]:
    """Of a frozen encoder, computed once and kept in the store that all runs share."""
    stored = extract(part.whole, backbone, store=this.config.cache, quiet=this.quiet).features
    return np.asarray(stored if part.rows is None else stored.rows(part.rows))


def fresh_tower(this: Selecting) -> nn.Module:
    """A copy of the image tower before."""
    tower: nn.Module = copy.deepcopy(this.start.encoder)
    return tower
