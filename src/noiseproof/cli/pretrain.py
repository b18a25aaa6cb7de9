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
_IMAGE_TEXT = """Example:

noiseproof pretrain image-text --recipe pretrain-resnet8-minilm-cifar10 --train train.parquet
--test test.parquet --rate 0.1 --out encoders/clip-noise10
"""
_SIMCLR = """Example:

noiseproof pretrain simclr --recipe pretrain-resnet8-simclr-cifar10 --train train.parquet
--test test.parquet --out encoders/simclr
"""

_PACK = """Example:

noiseproof pretrain pack encoders/noise20 --name resnet8-noise20 --out packed/
"""

Recipe = Annotated[str, typer.Option(help="A shipped recipe whose name starts with pretrain-, or a file.")]
Train = Annotated[str, typer.Option(help="Data set to learn from, as in 'noiseproof run'.")]
Test = Annotated[str, typer.Option(help="Data set with clean labels for the card; it decides nothing.")]
Out = Annotated[Path, typer.Option(help="Folder of weights and card; the same again goes on.")]
Model = Annotated[str | None, typer.Option(help="Network instead of the recipe's.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Any setting, e.g. epochs=5; repeatable.")]
Seed = Annotated[int, typer.Option(help="Of noise, initial weights, order and augmentation.", min=0)]
LabelNoise = Annotated[str | None, typer.Option(help="Kind of label noise, see 'noiseproof ls noise'.")]
Rate = Annotated[float | None, typer.Option(help="Share of the examples that get noise, in [0, 1].")]
Manifest = Annotated[
    Path | None, typer.Option(help="Folder of a noise manifest, instead of a kind and a rate.")
]  # fmt: skip
Caption = Annotated[
    str | None, typer.Option(help="Column of the captions; without it they are made from class names.")
]  # fmt: skip


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
    noise_manifest: Manifest = None,
    seed: Seed = 0,
    set_: Set = None,
    label: options.Label = None,
    image: options.Image = None,
    limit: options.Limit = None,
) -> None:
    """Learn given labels, some of them wrong."""
    _pretrain("supervised", locals())


@app.command("image-text", epilog=_IMAGE_TEXT)
@guarded
def image_text(
    recipe: Recipe,
    train: Train,
    test: Test,
    out: Out,
    model: Model = None,
    rate: Rate = None,
    noise_manifest: Manifest = None,
    caption: Caption = None,
    seed: Seed = 0,
    set_: Set = None,
    label: options.Label = None,
    image: options.Image = None,
    limit: options.Limit = None,
) -> None:
    """Learn which caption belongs to which image, some captions swapped."""
    _pretrain("image-text", locals())


@app.command("simclr", epilog=_SIMCLR)
@guarded
def simclr(
    recipe: Recipe,
    train: Train,
    test: Test,
    out: Out,
    model: Model = None,
    seed: Seed = 0,
    set_: Set = None,
    label: options.Label = None,
    image: options.Image = None,
    limit: options.Limit = None,
) -> None:
    """Learn without labels, which then cannot be wrong."""
    _pretrain("simclr", locals())


@app.command("pack", epilog=_PACK)
@guarded
def pack(
    folder: Annotated[Path, typer.Argument(help="What a pre-training left.")],
    name: Annotated[str, typer.Option(help="Of the two files.")],
    out: Annotated[Path, typer.Option(help="Folder they go to.")],
) -> None:
    """Make float16 weights and a card to share, as in the zoo."""
    from noiseproof.pipelines.pack import pack as pack_folder

    print(f"Packed into {pack_folder(folder, name=name, out=out)}")


def _pretrain(objective: Any, given: dict[str, Any]) -> None:
    from noiseproof.pipelines.pretrain import Job, pretrain
    from noiseproof.pretrain.noisy_targets import NoiseRequest
    from noiseproof.pretrain.pretrain_settings import resolve

    settings = resolve(
        given.pop("recipe"),
        objective=objective,
        options={"model": given.pop("model")},
        overrides=given.pop("set_") or (),
    )
    noise = NoiseRequest(
        given.pop("label_noise", None),
        given.pop("rate", None),
        given["seed"],
        given.pop("noise_manifest", None),
    )
    card = pretrain(Job(settings, noise=noise, command=command_line(), **given))
    if card:  # empty in all processes but the first
        _tell(card, given["out"])


def _tell(card: dict[str, Any], out: Path) -> None:
    for name, value in card["results"].items():
        print(f"{name.replace('_', ' ')}: {100 * value:.2f} %")
    spectrum = card["spectrum"]
    print(f"SVE {spectrum['entropy_nats']:.4f} nats, LSVR {spectrum['largest_ratio']:.4f} (test features)")
    print(f"Weights and card are in {out}")
