"""The flow of `noiseproof extract`: data -> features in a folder of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from noiseproof.backbones.services.service_backbone import open_service
from noiseproof.config.data import ExtractionConfig
from noiseproof.config.extract import ExtractConfig
from noiseproof.core.marks import claim
from noiseproof.core.records import Dataset
from noiseproof.features.service_extraction import RequestPlan, plan_requests
from noiseproof.features.store import StoredFeatures
from noiseproof.pipelines.encoding import config_encoder, encode
from noiseproof.pipelines.folders import check_is_apart
from noiseproof.pipelines.inputs import open_one, views_of


def extract_features(config: ExtractConfig) -> list[StoredFeatures]:
    """Encode a data set into `config.out`, or each of its two augmented views into a folder there."""
    check_is_apart(config.out, [config.train])
    claim(config.out)
    dataset = open_one(config, config.train, label=config.label, clean_label=config.clean_label)
    encoder = config_encoder(config, dataset, config.out)
    views = views_of(dataset, config.views, seed=config.seed)
    sets = [(view, config.out / f"view-{k}") for k, view in enumerate(views)] or [(dataset, config.out)]
    return [encode(config, each, encoder, store) for each, store in sets]


def plan_extraction(config: ExtractConfig) -> RequestPlan:
    """What `extract_features` would ask of the embedding service of the configuration; nothing is sent."""
    dataset = open_one(config, config.train, label=config.label, clean_label=config.clean_label)
    return plan_of([dataset], config, store=config.out)


def plan_of(datasets: Sequence[Dataset], config: ExtractionConfig, *, store: Path) -> RequestPlan:
    """What the features of data sets would ask of the services of a configuration; nothing is sent.

    Args:
        datasets: to encode.
        config: of the encoders; only those of services count.
        store: of the features.
    """
    names: Any = getattr(config, "backbone")  # noqa: B009  one name, or several
    services = [
        open_service(name.removeprefix("api:"), layer=config.layer)
        for name in ((names,) if isinstance(names, str) else names)
        if name.startswith("api:")
    ]
    plans = [
        plan_requests(
            dataset, service, store=store, batch_size=config.batch_size, precision=config.precision,
            dtype=config.dtype,
        )
        for service in services
        for dataset in datasets
    ]  # fmt: skip
    return RequestPlan(*map(sum, zip(*map(astuple, plans), strict=True)))
