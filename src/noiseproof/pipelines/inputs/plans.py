"""Requests that flows would send to embedding services, counted; nothing is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

from noiseproof.backbones.services.service_backbone import open_service
from noiseproof.config.data import ExtractionConfig
from noiseproof.config.detect import DetectConfig
from noiseproof.config.extract import ExtractConfig
from noiseproof.config.run import RunConfig
from noiseproof.core.records import Dataset
from noiseproof.features.service_extraction import RequestPlan, plan_requests
from noiseproof.pipelines.inputs.inputs import open_one, open_parts
from noiseproof.pipelines.inputs.judged import open_part


def plan_run(config: RunConfig) -> RequestPlan:
    """Requests of a run to the embedding services of its configuration."""
    parts = open_parts(config, views=config.views, task=config.task)
    return plan_of(parts.to_extract, config, store=config.cache)


def plan_detection(config: DetectConfig) -> RequestPlan:
    """Requests of `detect` to the embedding services of its configuration."""
    return plan_of([open_part(config).whole], config, store=config.cache)


def plan_extraction(config: ExtractConfig) -> RequestPlan:
    """Requests of `extract_features` to the embedding service of the configuration."""
    dataset = open_one(config, config.train, label=config.label, clean_label=config.clean_label, task="auto")
    return plan_of([dataset], config, store=config.out)


def plan_of(datasets: Sequence[Dataset], config: ExtractionConfig, *, store: Path) -> RequestPlan:
    """Requests to the services of a configuration for the features of data sets."""
    services = [
        open_service(name.removeprefix("api:"), layer=config.layer)
        for name in config.backbones
        if name.startswith("api:")
    ]
    if config.max_tokens is not None:
        for service in services:
            service.limit_tokens(config.max_tokens)  # refused, as without --plan
    plans = [
        plan_requests(
            dataset, service, store=store, batch_size=config.batch_size, precision=config.precision,
            dtype=config.dtype,
        )
        for service in services
        for dataset in datasets
    ]  # fmt: skip
    return RequestPlan(*map(sum, zip(*map(astuple, plans), strict=True)))
