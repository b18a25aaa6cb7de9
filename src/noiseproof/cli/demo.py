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
# A quarter of the width and a third of the epochs: the demo is to end in minutes on two cores.
_SMALL = {"hidden_ratio": 1.0, "epochs": 10}
DEMO: dict[str, Any] = {
    "heads": {"linear": {}, "mlp": _SMALL, "nmtune": _SMALL},
    "train": "sklearn:digits",
    "corrupt": "symmetric:0.2",
    "shifts": "blur,contrast,noise",
    "backbone": "bundled:efficientnet-lite0",
}


def demo(
    out: Annotated[Path, typer.Option(help="The run folder.")] = Path("runs/demo"),
    seeds: options.Seeds = None,
    heads: options.Heads = None,
    limit: options.Limit = None,
    cache: options.Cache = None,
) -> None:
    """Real digits, a real pre-trained encoder, 20 % wrong labels; no network."""
    from noiseproof.config import load_config

    given: dict[str, Any] = {"out": out, "seeds": seeds, "limit": limit, "cache": cache}
    if heads is not None:
        names = [name.strip() for name in heads.split(",")]
        given["heads"] = {name: DEMO["heads"].get(name, {}) for name in names}
    finish(load_config(command_line=DEMO | given))
