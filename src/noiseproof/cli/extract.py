"""`noiseproof extract`: features of a data set, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from noiseproof.config.extract import ExtractConfig

CONFIG = "noiseproof.config.extract:ExtractConfig"
EPILOG = """Examples:

noiseproof extract photos/ --backbone timm:resnet50 --out features/

noiseproof extract sklearn:digits --out features/ --limit 200

noiseproof extract reviews.csv --backbone api:text-embedding-3-small --out features/ --plan --price 0.02
"""


def extract(config: ExtractConfig) -> Any:
    """Encode a data set with a frozen encoder and keep the features on disk."""
    from noiseproof.cli.outcome import print_plan
    from noiseproof.pipelines.extract import extract_features
    from noiseproof.pipelines.inputs.plans import plan_extraction

    if config.plan:
        return print_plan(plan_extraction(config), config.price)
    found = []
    for stored in extract_features(config):
        n, dim = stored.features.shape
        print(f"{n} x {dim} features are in {stored.path}")
        found.append({"folder": stored.path, "num_examples": n, "dim": dim})
    return found
