"""`noiseproof pretrain`: encoders under noise that is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from noiseproof.cli import options
from noiseproof.cli.guard import command_line, guarded

app = typer.Typer(no_args_is_help=True, help="Train an encoder from scratch under noise that is known.")

_SUPERVISED = """Example:

noiseproof pretrain supervised --recipe pretrain-resnet8-cifar10 --train train.parquet --test test.parquet
--label-noise symmetric --rate 0.2 --out encoders/noise20
"""

Recipe = Annotated[str, typer.Option(help="A recipe of 'noiseproof ls recipes', or a YAML file.")]
Train = Annotated[str, typer.Option(help="Data set to learn from, as in 'noiseproof run'.")]
Test = Annotated[str, typer.Option(help="Data set with clean labels for the card; it decides nothing.")]
Out = Annotated[Path, typer.Option(help="Folder of weights and card; the same again goes on.")]
Model = Annotated[str | None, typer.Option(help="Network instead of the recipe's.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Any setting, e.g. epochs=5; repeatable.")]
Seed = Annotated[int, typer.Option(help="Of noise, initial weights, order and augmentation.", min=0)]
LabelNoise = Annotated[str | None, typer.Option(help="Kind of label noise, see 'noiseproof ls noise'.")]
Rate = Annotated[float | None, typer.Option(help="Share of the examples that get noise, in [0, 1].")]


@app.command("supervised", epilog=_SUPERVISED)
@guarded
def supervised(
    recipe: Recipe,
    train: Train,
    test: Test,
    out: Out,
    model: Model = None,
    label_noise: LabelNoise = None,
    rate: Rate = None,
    seed: Seed = 0,
    set_: Set = None,
    label: options.Label = None,
    image: options.Image = None,
    limit: options.Limit = None,
) -> None:
    """Learn given labels, some of them wrong."""
    from noiseproof.pretrain.settings import resolve
    from noiseproof.pretraining import Job, pretrain_supervised

    settings = resolve(recipe, objective="supervised", options={"model": model}, overrides=set_ or ())
    job = Job(
        settings, train, test, out, noise=label_noise, rate=rate, seed=seed, label=label, image=image,
        limit=limit, command=command_line(),
    )  # fmt: skip
    _tell(pretrain_supervised(job), out)


def _tell(card: dict[str, Any], out: Path) -> None:
    for name, value in card["results"].items():
        print(f"{name.replace('_', ' ')}: {100 * value:.2f} %")
    spectrum = card["spectrum"]
    print(f"SVE {spectrum['entropy_nats']:.4f} nats, LSVR {spectrum['largest_ratio']:.4f} (test features)")
    print(f"Weights and card are in {out}")
