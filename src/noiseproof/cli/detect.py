"""`noiseproof detect`: which labels are probably wrong, and what to do about them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noiseproof.cli import options
from noiseproof.cli.guard import command_line

EPILOG = """Examples:

noiseproof detect --train photos/ --out issues/

noiseproof detect --train train.csv --label class --method neighbours --method-option k=20 --out issues/

noiseproof detect --train train.csv --probs probs.npz --export csv --export cleaned-relabel --out issues/

noiseproof detect --train photos/ --features features/ --export label-studio --out issues/
"""
_DETECTOR, _EXPORT = "Detector", "Export"

Method = Annotated[
    str | None,
    typer.Option(
        help="Detector, see 'noiseproof ls detectors'; by default auto, which says what it chose and why.",
        rich_help_panel=_DETECTOR,
    ),
]
MethodOption = Annotated[
    list[str] | None,
    typer.Option(
        "--method-option",
        help="Of --method, NAME=VALUE, e.g. k=20; may be repeated.",
        rich_help_panel=_DETECTOR,
    ),
]
Probs = Annotated[
    Path | None,
    typer.Option(
        help="Out-of-sample class probabilities of your own model: .npy, .npz or .parquet.",
        rich_help_panel=_DETECTOR,
    ),
]
ZeroShot = Annotated[
    Path | None,
    typer.Option(
        help="Class probabilities of an image-text model, likewise.", rich_help_panel=_DETECTOR
    ),
]  # fmt: skip
Features = Annotated[
    Path | None,
    typer.Option(
        help="Folder that 'noiseproof extract' wrote for this data set; nothing is encoded.",
        rich_help_panel=_DETECTOR,
    ),
]
Export = Annotated[
    list[str] | None,
    typer.Option(
        help="Also write csv, json, cleanlab, fiftyone, label-studio, cleaned-drop or cleaned-relabel; "
        "may be repeated.",
        rich_help_panel=_EXPORT,
    ),
]


def detect(
    train: options.Train = None,
    out: options.Out = None,
    method: Method = None,
    method_options: MethodOption = None,
    probs: Probs = None,
    zero_shot: ZeroShot = None,
    features: Features = None,
    export: Export = None,
    backbone: options.Backbone = None,
    config: options.Config = None,
    set_: options.Set = None,
    label: options.Label = None,
    image: options.Image = None,
    text: options.Text = None,
    clean_label: options.CleanLabel = None,
    limit: options.Limit = None,
    on_error: options.OnError = None,
    corrupt: options.Corrupt = None,
    noise_manifest: options.NoiseManifest = None,
    layer: options.Layer = None,
    engine: options.Engine = None,
    precision: options.Precision = None,
    dtype: options.Dtype = None,
    batch_size: options.BatchSize = None,
    cache: options.Cache = None,
    seed: options.Seed = None,
) -> None:
    """Find the labels of a data set that are probably wrong; export them, or a cleaned copy."""
    given = {name: value for name, value in locals().items() if name not in ("config", "set_")}
    from noiseproof.cli.outcome import print_detection
    from noiseproof.config.run import load_detect_config
    from noiseproof.pipelines.detect import detect as run_detection

    settings = load_detect_config(config, overrides=set_ or (), command_line=given)
    found = run_detection(settings, command=command_line(), say=lambda line: typer.echo(line, err=True))
    print_detection(found)
