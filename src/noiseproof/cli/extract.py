"""`noiseproof extract`: features of a data set, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from noiseproof.config.extract import ExtractConfig
    from noiseproof.features.service_extraction import RequestPlan

CONFIG = "noiseproof.config.extract:ExtractConfig"
EPILOG = """Examples:

noiseproof extract photos/ --backbone timm:resnet50 --out features/

noiseproof extract sklearn:digits --out features/ --limit 200

noiseproof extract reviews.csv --backbone api:text-embedding-3-small --out features/ --plan --price 0.02
"""


def extract(config: ExtractConfig) -> None:
    """Encode a data set with a frozen encoder and keep the features on disk."""
    from noiseproof.pipelines.extract import extract_features, plan_extraction

    if config.plan:
        print(_described(plan_extraction(config), config.price))
        return
    for stored in extract_features(config):
        n, dim = stored.features.shape
        print(f"{n} x {dim} features are in {stored.path}")


def _described(plan: RequestPlan, price: float | None) -> str:
    lines = [
        f"texts     {plan.num_texts:,} to embed, {plan.num_stored:,} in the store already",
        f"requests  {plan.num_requests:,}, and one that checks whether the service is what it was",
        f"tokens    about {plan.num_tokens:,} (estimated at four characters a token)",
    ]
    if price is not None:
        cost = plan.num_tokens * price / 1e6
        lines.append(f"cost      about {cost:,.{2 if cost >= 1 else 6}f} at {price:g} a million tokens")
    return "\n".join(lines)
