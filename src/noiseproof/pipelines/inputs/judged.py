"""The examples whose labels `detect` judges, and what its method needs to know of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from noiseproof.backbones.image_text.shared_space import check_shared_layer
from noiseproof.config.detect import DetectConfig
from noiseproof.core.errors import invalid
from noiseproof.core.records import Dataset, LabelledDataset
from noiseproof.data.formats.probabilities import read_probabilities
from noiseproof.detect.detectors import AUTO, describe_needs, has_inputs
from noiseproof.features.store import StoredFeatures
from noiseproof.pipelines.inputs.data_parts import DataPart
from noiseproof.pipelines.inputs.encoded import encode_stage
from noiseproof.pipelines.inputs.encoding import (
    Encoder,
    checked_features,
    config_encoder,
    encode,
    shared_space_encoder,
    shared_space_name,
)
from noiseproof.pipelines.inputs.inputs import corrupt_part, is_whole, label_columns, open_one, short_name
from noiseproof.pipelines.outputs.stages import Stages


@dataclass(frozen=True, eq=False)
class MethodInputs:
    """What a method knows of the examples.

    Attributes:
        probs: probabilities that the user gives, by the argument.
        stored: features; `None` where probabilities are enough.
        text_tower: of an image-text model, where the method needs one.
    """

    probs: dict[str, Any]
    stored: StoredFeatures | None = None
    text_tower: Any = None


def open_part(config: DetectConfig) -> DataPart:
    """Open the data and inject noise; where probabilities are given, labels alone are enough."""
    labels = label_columns(config)
    dataset = open_one(config, config.train, **labels, may_lack_examples=not needs_features(config))
    part = corrupt_part(DataPart("train", dataset, dataset), config)
    return dataclasses.replace(
        part, dataset=dataclasses.replace(part.dataset, name=short_name(part.dataset.name))
    )


def load_inputs(stages: Stages, config: DetectConfig, part: DataPart) -> MethodInputs:
    """Get features from the encoder, the store or the given folder, and what else the method needs."""
    whole, class_names = part.whole, part.dataset.class_names
    may_have_others = not is_whole(config, part.dataset)
    probs = {
        name: read_probabilities(
            getattr(config, name), part.dataset, argument=name, may_have_others=may_have_others
        )
        for name in given_probs(config)
    }
    if not needs_features(config):
        return MethodInputs(probs)
    needs_text = needs_text_tower(config)
    if config.features is not None:
        stored, tower = checked_features(config.features, whole), None
        if needs_text:
            tower = _open_text_tower(stored.manifest.components["backbone"], class_names)
            check_shared_layer(stored.manifest.components["layer"])
        return MethodInputs(probs, stored, tower)
    if needs_text:
        _check_images(config, whole)
    tower = _open_text_tower(shared_space_name(config), class_names) if needs_text else None
    return MethodInputs(probs, encode_stage(stages, "extract", config, whole, _encoder(config, whole)), tower)


def open_judged(config: DetectConfig) -> tuple[LabelledDataset, Any]:
    """The examples that a finished detection judged, and their features from the store, or `None`."""
    part = open_part(config)
    if not needs_features(config):
        return part.dataset, None
    if config.features is not None:
        return part.dataset, checked_features(config.features, part.whole).features
    return part.dataset, encode(config, part.whole, _encoder(config, part.whole), config.cache).features


def _encoder(config: DetectConfig, dataset: Dataset) -> Encoder:
    if needs_text_tower(config):
        return shared_space_encoder(config, config.cache)
    return config_encoder(config, dataset, config.cache)


def _open_text_tower(name: str, class_names: Sequence[str]) -> Any:
    from noiseproof.backbones.image_text.text_towers import open_prompt_tower  # loads PyTorch

    return open_prompt_tower(name, class_names)


def _check_images(config: DetectConfig, whole: Dataset) -> None:
    if whole.kind != "image":
        raise invalid(
            "method", config.method, f"a detector for {whole.kind}",
            f"It needs {describe_needs(config.method)}, and an image-text model sees images only. Next: "
            "another method, or --zero-shot with probabilities of your own.",
        )  # fmt: skip


def needs_features(config: DetectConfig) -> bool:
    """Whether the method needs features beside the given probabilities; encoding takes minutes."""
    if config.features is not None or config.backbone:
        return True
    given = given_probs(config)
    return not (given if config.method == AUTO else has_inputs(given, config.method, config.method_options))


def needs_text_tower(config: DetectConfig) -> bool:
    """Whether the method needs an image-text model beside features and given probabilities."""
    inputs = [*given_probs(config), "features"]
    return config.method != AUTO and not has_inputs(inputs, config.method, config.method_options)


def given_probs(config: DetectConfig) -> list[str]:
    """Names of the probabilities that the user gives."""
    return [name for name in ("probs", "zero_shot") if getattr(config, name) is not None]
