"""`noiseproof pretrain`: encoders under noise that is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from noiseproof.cli.commands import add_command
from noiseproof.cli.guard import command_line, guarded
from noiseproof.cli.output import Verbs

if TYPE_CHECKING:
    from noiseproof.config.pretrain import PretrainConfig

CONFIG = "noiseproof.config.pretrain:PretrainConfig"
_SUPERVISED = """Example:

noiseproof pretrain supervised train.parquet --recipe pretrain-resnet8-cifar10 --test test.parquet
--noise symmetric:0.2 --out encoders/noise20
"""
_IMAGE_TEXT = """Example:

noiseproof pretrain image-text train.parquet --recipe pretrain-resnet8-minilm-cifar10
--test test.parquet --noise captions:0.1 --out encoders/clip-noise10
"""
_SIMCLR = """Example:

noiseproof pretrain simclr train.parquet --recipe pretrain-resnet8-simclr-cifar10
--test test.parquet --out encoders/simclr
"""
_PACK = """Example:

noiseproof pretrain pack encoders/noise20 --name resnet8-noise20 --out packed/
"""

app = typer.Typer(
    cls=Verbs, no_args_is_help=True, help="Train an encoder from scratch under noise that is known."
)


def supervised(config: PretrainConfig) -> dict[str, Any]:
    """Learn given labels, some of them wrong."""
    return _pretrain(config)


def image_text(config: PretrainConfig) -> dict[str, Any]:
    """Learn which caption belongs to which image, some captions swapped."""
    return _pretrain(config)


def simclr(config: PretrainConfig) -> dict[str, Any]:
    """Learn without labels: two augmentations of an image agree."""
    return _pretrain(config)


for _name, _function, _epilog in (
    ("supervised", supervised, _SUPERVISED),
    ("image-text", image_text, _IMAGE_TEXT),
    ("simclr", simclr, _SIMCLR),
):
    add_command(app, _name, _function, config=CONFIG, epilog=_epilog, objective=_name)


@app.command("pack", epilog=_PACK)
@guarded
def pack(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder that a pre-training left.")],
    name: Annotated[str, typer.Option(help="Name of the two files.")],
    out: Annotated[Path, typer.Option(help="Folder they go to.")],
) -> dict[str, Path]:
    """Make float16 weights and a card to share, as in the zoo."""
    from noiseproof.pipelines.pack import pack as pack_folder

    weights = pack_folder(folder, name=name, out=out)
    print(f"Packed into {weights}")
    return {"weights": weights}


def _pretrain(config: PretrainConfig) -> dict[str, Any]:
    from noiseproof.pipelines.pretrain import pretrain

    card = pretrain(config, command=command_line())
    if card:  # empty in all processes but the first
        _print_card(card, config.out)
    return {"folder": config.out, "card": card}


def _print_card(card: dict[str, Any], out: Path) -> None:
    for name, value in card["results"].items():
        print(f"{name.replace('_', ' ')}: {100 * value:.2f} %")
    spectrum = card["spectrum"]
    print(f"SVE {spectrum['entropy_nats']:.4f} nats, LSVR {spectrum['largest_ratio']:.4f} (test features)")
    print(f"Weights and card are in {out}")
