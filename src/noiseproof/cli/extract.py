"""`noiseproof extract`: features of a data set, once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noiseproof.cli import options

EPILOG = """Examples:

noiseproof extract photos/ --backbone timm:resnet50 --out features/

noiseproof extract sklearn:digits --out features/ --limit 200
"""


def extract(
    data: Annotated[str, typer.Argument(help="Data set, as in --train of 'noiseproof run'.")],
    out: Annotated[Path, typer.Option(help="Folder that load_features reads.")],
    backbone: options.Backbone = None,
    layer: options.Layer = None,
    label: options.Label = None,
    image: options.Image = None,
    text: options.Text = None,
    limit: options.Limit = None,
    on_error: options.OnError = None,
    engine: options.Engine = None,
    precision: options.Precision = None,
    dtype: options.Dtype = None,
    batch_size: options.BatchSize = None,
    views: options.Views = None,
    seed: options.Seed = None,
) -> None:
    """Encode a data set with a frozen encoder and keep the features on disk."""
    given = {name: value for name, value in locals().items() if name not in ("data", "out")}
    from noiseproof.config.run import load_config
    from noiseproof.pipelines.run import extract_set

    for stored in extract_set(load_config(command_line=given | {"train": data, "out": out})):
        n, dim = stored.features.shape
        print(f"{n} x {dim} features are in {stored.path}")
