"""`noiseproof run`: from your data and a frozen encoder to a report."""

from __future__ import annotations

from typing import Any

from noiseproof.cli import options
from noiseproof.cli.guard import command_line

EPILOG = """Examples:

noiseproof run --train photos/ --out runs/photos

noiseproof run --train train.csv --label class --ood phone.csv --out runs/phone --seeds 5

noiseproof run --train features.npz --out runs/mine --heads linear,nmtune --set heads.nmtune.weight_svd=0.02

noiseproof run --train train.csv --out runs/robust --loss gce --loss-option q=0.7
"""


def run(
    train: options.Train = None,
    test: options.Test = None,
    ood: options.Ood = None,
    backbone: options.Backbone = None,
    out: options.Out = None,
    seeds: options.Seeds = None,
    heads: options.Heads = None,
    config: options.Config = None,
    set_: options.Set = None,
    label: options.Label = None,
    image: options.Image = None,
    text: options.Text = None,
    clean_label: options.CleanLabel = None,
    test_label: options.TestLabel = None,
    limit: options.Limit = None,
    on_error: options.OnError = None,
    test_fraction: options.TestFraction = None,
    corrupt: options.Corrupt = None,
    noise_manifest: options.NoiseManifest = None,
    shifts: options.Shifts = None,
    layer: options.Layer = None,
    engine: options.Engine = None,
    precision: options.Precision = None,
    dtype: options.Dtype = None,
    batch_size: options.BatchSize = None,
    views: options.Views = None,
    cache: options.Cache = None,
    recipe: options.Recipe = None,
    max_steps: options.MaxSteps = None,
    loss: options.Loss = None,
    loss_options: options.LossOption = None,
    seed: options.Seed = None,
) -> None:
    """Features once, spectrum, suspect labels, heads x seeds, evaluation, report."""
    given = {name: value for name, value in locals().items() if name not in ("config", "set_")}
    from noiseproof.config.run import load_config

    finish(load_config(config, overrides=set_ or (), command_line=given))


def finish(config: Any) -> None:
    """Do the run and tell what came out."""
    import typer

    from noiseproof.cli.outcome import print_outcome
    from noiseproof.pipelines.run import run as run_pipeline

    result = run_pipeline(config, command=command_line(), say=lambda line: typer.echo(line, err=True))
    print_outcome(result)
