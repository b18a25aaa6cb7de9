"""`noiseproof spectrum`: what the singular values of a feature matrix say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

EPILOG = """Examples:

noiseproof spectrum features/

noiseproof spectrum features/ --centred --json > card.json
"""


def spectrum(
    features: Annotated[Path, typer.Argument(help="Folder that 'noiseproof extract' wrote.")],
    is_centred: Annotated[bool, typer.Option("--centred", help="Take the mean row off first.")] = False,
    is_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Singular values, entropy (SVE), largest-singular-value ratio (LSVR), effective rank."""
    import noiseproof

    card = noiseproof.spectrum(noiseproof.load_features(features).features, is_centred=is_centred)
    if is_json:
        print(json.dumps(card.to_json(), indent=1))
        return
    print(f"examples x dim    {card.num_examples} x {card.dim}{' (centred)' if is_centred else ''}")
    print(f"SVE               {card.entropy_nats:.4f} nats")
    print(f"LSVR              {card.largest_ratio:.4f}")
    print(f"effective rank    {card.effective_rank:.2f}")
    print(f"largest values    {', '.join(f'{value:.4g}' for value in card.singular_values[:5])}")
