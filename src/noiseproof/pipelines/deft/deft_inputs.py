"""Inputs of DeFT, opened and checked before any work, and the scores that phase 1 leaves."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from PIL import Image

from noiseproof.adapt.initial_encoder import InitialEncoder, load_initial_encoder
from noiseproof.adapt.learnable import TuneMode
from noiseproof.backbones.adapters.additions import tower_for
from noiseproof.backbones.adapters.tower_layout import has_blocks
from noiseproof.backbones.backbones import check_name, open_backbone
from noiseproof.backbones.base import AbstractBackbone
from noiseproof.backbones.checkpoints.weights import hash_weights
from noiseproof.backbones.image_text.shared_space import SHARED_SPACE
from noiseproof.backbones.image_text.text_towers import PromptTower, open_prompt_tower
from noiseproof.backbones.images.pixels import ImageBackbone
from noiseproof.config.deft import NONE, DeftConfig, DeftSettings
from noiseproof.core.errors import BadData, invalid
from noiseproof.core.plurals import counted
from noiseproof.core.records import Dataset, LabelledDataset, rows_by_id
from noiseproof.core.storage.files import digest
from noiseproof.core.storage.parquet import read_table
from noiseproof.features.extract import extract
from noiseproof.pipelines.finetune_inputs import part_noise_summary
from noiseproof.pipelines.inputs.data_parts import DataPart, DataParts
from noiseproof.pipelines.inputs.inputs import open_parts
from noiseproof.pipelines.outputs.identity import identity
from noiseproof.pipelines.training_flow import AbstractTrainingState

SCORES = "scores.parquet"
_SCORE_COLUMNS = ["example_id", "suggested_label", "p_clean", "is_clean"]


@dataclass(frozen=True, eq=False)
class Scores:
    """Results of phase 1 for every example of a data set, in its order.

    Attributes:
        p_clean: probability that the given label is right.
        is_clean: whether the example is selected for phase 2.
        suggested: class ids of the suggested labels.
    """

    p_clean: Float[np.ndarray, " n"]
    is_clean: Bool[np.ndarray, " n"]
    suggested: Int[np.ndarray, " n"]


@dataclass(eq=False, kw_only=True)
class DeftState(AbstractTrainingState):
    """Configuration, data and model of one DeFT, shared by its steps.

    Attributes:
        settings: of phase 1, with the default of `tune` filled in.
        parts: the data, opened, with labels that may be wrong.
        initial: the image tower before training, with output in the shared space.
        text: the text tower for the classes.
        noise: section of the card.
    """

    config: DeftConfig
    settings: DeftSettings
    parts: DataParts
    initial: InitialEncoder
    text: PromptTower
    noise: dict[str, Any]

    @property
    def data(self) -> LabelledDataset:
        """The examples whose labels are judged."""
        return self.parts.train.dataset

    @property
    def given_labels(self) -> Int[np.ndarray, " n"]:
        """Class ids of `data`, which may be wrong."""
        return self.parts.train.given_labels

    @property
    def tune_mode(self) -> TuneMode | None:
        """Which parameters of the image tower learn; `None` for prompts only."""
        return None if self.settings.is_prompts_only else TuneMode.parse(str(self.settings.tune))

    @property
    def evaluation_key(self) -> str:
        """Hash of phase 2 and of the evaluation sets."""
        settings = self.config.phase2_settings.model_dump() if self.config.phase2 == "full" else None
        return digest([self.parts.test_key, self.config.phase2, self.config.phase2_backbone, settings])


def open_deft(config: DeftConfig, accelerator: Any, *, command: str, quiet: bool) -> DeftState:
    """Open the data and the model, and refuse what can be refused, before any work.

    Raises:
        InvalidArgument: a setting, a model without a text tower, an image tower that cannot be tuned so.
        BadData: data or manifest cannot be used, or class names are alike.
    """
    parts = open_parts(config)
    parts.check_images()
    _check_phase2(config)
    data = parts.train.dataset
    text = open_prompt_tower(config.model, data.class_names)
    initial = _image_tower(config.model)
    settings = config.settings.model_copy(update={"tune": _tune_or_default(config, initial)})
    noise = part_noise_summary(parts.train, manifest=config.noise_manifest)
    more = {
        "model": config.model,
        "encoder": initial.backbone.weights_hash,
        "text": hash_weights(text),
        "class_names": data.class_names,
    }
    made_from = identity(
        settings, seed=config.seed, noise=noise, data=data, targets=parts.train.given_labels,
        num_processes=accelerator.num_processes, more=more,
    )  # fmt: skip
    return DeftState(
        config=config, command=command, quiet=quiet, accelerator=accelerator,
        identity=made_from, settings=settings, parts=parts, initial=initial, text=text, noise=noise,
    )  # fmt: skip


def _image_tower(name: str) -> InitialEncoder:
    backbone = open_backbone(name, layer=SHARED_SPACE)
    if not isinstance(backbone, ImageBackbone):
        raise invalid("model", name, "an image-text model", "Next: open_clip:ARCH/TAG.")
    encoder: Any = copy.deepcopy(backbone.module.encoder)
    return InitialEncoder(
        encoder=encoder.requires_grad_(True).train(), backbone=backbone, architecture=name,
        preprocessing={"image_size": len(backbone.prepare(Image.new("RGB", (64, 64))))},
    )  # fmt: skip


def _tune_or_default(config: DeftConfig, initial: InitialEncoder) -> str:
    """`tune` of the configuration, or the default for this kind of tower."""
    if config.tune is None:
        is_fit = not config.model.startswith("bundled:") and has_blocks(initial.encoder)
        return "vpt-deep:20" if is_fit else NONE
    addition = None if config.tune == NONE else TuneMode.parse(config.tune).addition
    if addition is not None:
        tower_for(initial.encoder, addition)
    return config.tune


def _check_phase2(config: DeftConfig) -> None:
    """Refuse an encoder that phase 2 cannot use before phase 1 starts."""
    if config.phase2_backbone is not None:
        check_name(config.phase2_backbone)
    if config.phase2 == "full":
        load_initial_encoder(str(config.phase2_backbone), config.phase2_settings, seed=config.seed)


def read_scores(path: Path, dataset: Dataset) -> Scores:
    """Read the scores of phase 1 for the examples of a data set, by their ids.

    Args:
        path: of `scores.parquet`.
        dataset: its order is that of the scores; the file may have other examples, too.

    Raises:
        BadData: an example has no score, or a suggested label is no class of the data set.
    """
    table = read_table(path)
    absent = [name for name in _SCORE_COLUMNS if name not in table.schema.names]
    if absent:
        raise BadData(
            f"{str(path)!r} has no column {absent[0]!r}; allowed: scores of phase 1. Next: run phase 1 again."
        )
    frame = table.select(_SCORE_COLUMNS).to_pandas()
    rows, missing = rows_by_id(dataset.ids, frame["example_id"].to_numpy())
    if missing:
        raise BadData(
            f"{str(path)!r} has no score of {counted(len(missing), 'example')} of {dataset.name!r}, for "
            f"example {missing[0]!r}; allowed: scores of this data set. Next: run phase 1 on it."
        )
    places = {name: number for number, name in enumerate(dataset.class_names)}
    names = frame["suggested_label"].to_numpy()[rows]
    if unknown := sorted(map(str, set(names) - places.keys())):
        raise BadData(
            f"{str(path)!r} suggests {unknown[0]!r}, which is no class of {dataset.name!r}; allowed: scores "
            "of this data set. Next: run phase 1 on it."
        )
    suggested = np.array([places[name] for name in names], np.int64)
    p_clean, is_clean = frame["p_clean"].to_numpy()[rows], frame["is_clean"].to_numpy()[rows]
    if p_clean.dtype.kind != "f" or not np.isfinite(p_clean).all() or is_clean.dtype != bool:
        raise BadData(
            f"{str(path)!r} has other values than numbers in p_clean, or than true and false in is_clean; "
            "allowed: scores of phase 1. Next: run phase 1 again."
        )
    return Scores(p_clean, is_clean, suggested)


def part_features(state: DeftState, part: DataPart, backbone: AbstractBackbone) -> Float[np.ndarray, "n d"]:
    """Features of a part by a frozen encoder, from the store that all runs share."""
    stored = extract(part.whole, backbone, store=state.config.cache, quiet=state.quiet).features
    return np.asarray(stored if part.rows is None else stored.rows(part.rows))
