"""The flow of `noiseproof extract`: data -> features in a folder of their own."""

from __future__ import annotations

from noiseproof.config.extract import ExtractConfig
from noiseproof.core.storage.marks import claim
from noiseproof.features.store import StoredFeatures
from noiseproof.pipelines.inputs.encoding import config_encoder, encode
from noiseproof.pipelines.inputs.inputs import open_one, views_of
from noiseproof.pipelines.outputs.output_folders import check_is_apart


def extract_features(config: ExtractConfig) -> list[StoredFeatures]:
    """Encode a data set into `config.out`, or each of its two augmented views into a folder there."""
    check_is_apart(config.out, [config.train])
    claim(config.out)
    dataset = open_one(config, config.train, label=config.label, clean_label=config.clean_label, task="auto")
    encoder = config_encoder(config, dataset, config.out)
    views = views_of(dataset, config.views, seed=config.seed)
    sets = [(view, config.out / f"view-{k}") for k, view in enumerate(views)] or [(dataset, config.out)]
    return [encode(config, each, encoder, store) for each, store in sets]
