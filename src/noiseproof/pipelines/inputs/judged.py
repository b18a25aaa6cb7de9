"""The examples whose labels `detect` judges, and what its method needs to know of them."""

from __future__ import annotations

import dataclasses
from typing import Any

from noiseproof.config.detect import DetectConfig
from noiseproof.core.records import Dataset, LabelledDataset
from noiseproof.detect.detectors import AUTO, has_inputs
from noiseproof.pipelines.inputs.data_parts import DataPart
from noiseproof.pipelines.inputs.encoding import (
    Encoder,
    checked_features,
    config_encoder,
    encode,
    shared_space_encoder,
)
from noiseproof.pipelines.inputs.inputs import corrupt_part, label_columns, open_one, short_name


def open_part(config: DetectConfig) -> DataPart:
    """Open the data and inject noise; where probabilities are given, labels alone are enough."""
    labels = label_columns(config)
    dataset = open_one(config, config.train, **labels, may_lack_examples=not needs_features(config))
    part = corrupt_part(DataPart("train", dataset, dataset), config)
    return dataclasses.replace(
        part, dataset=dataclasses.replace(part.dataset, name=short_name(part.dataset.name))
    )


def open_judged(config: DetectConfig) -> tuple[LabelledDataset, Any]:
    """The examples that a finished detection judged, and their features from the store, or `None`."""
    part = open_part(config)
    if not needs_features(config):
        return part.dataset, None
    if config.features is not None:
        return part.dataset, checked_features(config.features, part.whole).features
    encoder = judging_encoder(config, part.whole)
    return part.dataset, encode(config, part.whole, encoder, config.cache).features


def judging_encoder(config: DetectConfig, dataset: Dataset) -> Encoder:
    """The encoder of the configuration, in the space that it shares with text where the method needs that."""
    if needs_text_tower(config):
        return shared_space_encoder(config, config.cache)
    return config_encoder(config, dataset, config.cache)


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
