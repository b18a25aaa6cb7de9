"""`noiseproof demo`: the whole flow on what pip installs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

EPILOG = """Examples:

noiseproof demo

noiseproof demo --out /tmp/demo --seeds 1
"""
DEMO: dict[str, Any] = {
    "train": "sklearn:digits",
    "noise": "symmetric:0.2",
    "shifts": "blur,contrast,noise",
    "backbone": "bundled:efficientnet-lite0",
    "max_steps": 250,  # the demo is to end in minutes on two cores
}


def demo(
    out: Annotated[Path, typer.Option(help="The run folder.")] = Path("runs/demo"),
    seeds: Annotated[int | None, typer.Option(help="Seeds of each head.", show_default="3")] = None,
    heads: Annotated[
        str | None, typer.Option(help="Heads, separated by commas.", show_default="linear,nmtune")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Use at most this many images.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Feature store.")] = None,
) -> dict[str, Any]:
    """Run the whole flow on real digits with 20 % wrong labels and a real encoder; no network."""
    from noiseproof.cli.run import run
    from noiseproof.config.run import RunConfig
    from noiseproof.config.values import load_config

    given = {"out": out, "seeds": seeds, "heads": heads, "limit": limit, "cache": cache}
    return run(load_config(RunConfig, options=DEMO | given))
