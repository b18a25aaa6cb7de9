"""`noiseproof demo`: the whole flow on what pip installs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from noiseproof.cli import options
from noiseproof.cli.run import finish

EPILOG = """Examples:

noiseproof demo

noiseproof demo --out /tmp/demo --seeds 1
"""
DEMO: dict[str, Any] = {
    "train": "sklearn:digits",
    "corrupt": "symmetric:0.2",
    "shifts": "blur,contrast,noise",
    "backbone": "bundled:efficientnet-lite0",
    "max_steps": 250,  # the demo is to end in minutes on two cores
}


def demo(
    out: Annotated[Path, typer.Option(help="The run folder.")] = Path("runs/demo"),
    seeds: options.Seeds = None,
    heads: options.Heads = None,
    limit: options.Limit = None,
    cache: options.Cache = None,
) -> None:
    """Real digits, a real pre-trained encoder, 20 % wrong labels; no network."""
    from noiseproof.config.run import load_config

    given = {"out": out, "seeds": seeds, "heads": heads, "limit": limit, "cache": cache}
    finish(load_config(command_line=DEMO | given))
