"""`noiseproof adapt`: change an encoder for your task, some of your labels being wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from noiseproof.cli import deft, options
from noiseproof.cli.guard import command_line, guarded

app = typer.Typer(no_args_is_help=True, help="Adapt an encoder to a task whose labels may be wrong.")


@app.callback()
def _adapt() -> None:
    """Only there so that the sub-verb has to be named."""


_FINETUNE = """Examples:

noiseproof adapt finetune --train photos/ --test phone/ --backbone zoo:resnet8-simclr --out tuned/

noiseproof adapt finetune --train torchvision:CIFAR10/train --test torchvision:CIFAR10/test
--backbone timm:resnet50_32px@encoders/simclr/model.safetensors --label-noise symmetric --rate 0.5
--out tuned/c10

noiseproof adapt finetune --train photos/ --backbone timm:vit_small_patch16_224 --tune lora --wise-ft 0,0.5,1
--out tuned/lora
"""
_START, _TRAINING = "Encoder", "Training"

Train = Annotated[str, typer.Option(help="Images to learn from, as in 'noiseproof run'.")]
Backbone = Annotated[
    str,
    typer.Option(
        help="Encoder to start from: timm:NAME, timm:NAME@FILE, zoo:NAME or bundled:NAME.",
        rich_help_panel=_START,
    ),
]
Out = Annotated[Path, typer.Option(help="Folder of weights, card and results; the same again goes on.")]
Init = Annotated[
    str | None,
    typer.Option(help="'random' takes only the architecture of the backbone.", rich_help_panel=_START),
]
Stem = Annotated[
    str | None,
    typer.Option(help="'cifar': a ResNet gets a fresh stem for 32-px images.", rich_help_panel=_START),
]
Tune = Annotated[
    str | None,
    typer.Option(
        help="What learns besides the classifier: full (default), last-blocks:N, bias, lora, vpt-deep[:N], "
        "vpt-shallow[:N], adapter[:N], ssf or head.",
        rich_help_panel=_TRAINING,
    ),
]
Loss = Annotated[
    str | None,
    typer.Option(help="Name of a loss ('noiseproof ls losses').", rich_help_panel=_TRAINING),
]
LossOption = Annotated[
    list[str] | None,
    typer.Option(
        "--loss-option",
        help="Of --loss, NAME=VALUE, e.g. q=0.7; may be repeated. transition=FILE is a .npy or text file.",
        rich_help_panel=_TRAINING,
    ),
]
Epochs = Annotated[int | None, typer.Option(help="Passes over the images.", rich_help_panel=_TRAINING)]
Validation = Annotated[
    float | None,
    typer.Option(
        help="Share of --train held out, labels as given, to select the best step by; by default 0.1.",
        rich_help_panel=_TRAINING,
    ),
]
Meta = Annotated[
    str | None,
    typer.Option(
        help="A few examples with checked labels; Meta-Weight-Net learns from them what the others count.",
        rich_help_panel=_TRAINING,
    ),
]
WiseFt = Annotated[
    str | None,
    typer.Option(
        help="Also evaluate between the weights before (0) and after (1), e.g. 0,0.25,0.5,0.75,1.",
        rich_help_panel=_TRAINING,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any setting, e.g. learning_rate=0.1; repeatable.", rich_help_panel=_TRAINING),
]
Seed = Annotated[int, typer.Option(help="Of splits, noise, fresh weights, order and augmentation.", min=0)]


@app.command("finetune", epilog=_FINETUNE)
@guarded
def finetune(
    train: Train,
    backbone: Backbone,
    out: Out,
    test: options.Test = None,
    ood: options.Ood = None,
    init: Init = None,
    stem: Stem = None,
    tune: Tune = None,
    loss: Loss = None,
    loss_options: LossOption = None,
    epochs: Epochs = None,
    validation: Validation = None,
    meta: Meta = None,
    wise_ft: WiseFt = None,
    label_noise: options.LabelNoise = None,
    rate: options.Rate = None,
    noise_manifest: options.MadeNoise = None,
    set_: Set = None,
    seed: Seed = 0,
    label: options.Label = None,
    image: options.Image = None,
    clean_label: options.CleanLabel = None,
    test_label: options.TestLabel = None,
    limit: options.Limit = None,
    on_error: options.OnError = None,
    shifts: options.Shifts = None,
) -> None:
    """Train encoder and classifier; keep the best step by held-out given labels, and the last."""
    given: dict[str, Any] = locals()
    from noiseproof.config.adapt import FinetuneJob, alphas, resolve_settings
    from noiseproof.pipelines.finetune import finetune as run_finetuning

    settings = ("init", "stem", "tune", "loss", "loss_options", "epochs", "validation")
    resolved = resolve_settings(given.pop("set_") or (), {name: given.pop(name) for name in settings})
    given |= {
        "ood": tuple(ood or ()),
        "shifts": tuple(part.strip() for part in (shifts or "").split(",") if part.strip()),
        "wise_ft": alphas(wise_ft or ""),
    }
    card = run_finetuning(FinetuneJob(settings=resolved, command=command_line(), **given))
    if card:  # empty in all processes but the first
        _tell(card, out)


def _tell(card: dict[str, Any], out: Path) -> None:
    from noiseproof.cli.outcome import print_results

    print_results(out / "results.jsonl")
    selection, learning = card["selection"], card["learning"]
    print(
        f"Learned: {learning['parameters']:,} of {learning['of']:,} parameters ({learning['mode']}), "
        f"{card['num_steps']} steps"
    )
    if card["meta"] is not None:
        print(
            f"Weighed by {card['meta']['num_examples']} examples with checked labels (Meta-Weight-Net); mean "
            f"weight of the last batch {card['weights']['mean_weight']}"
        )
    for name in ("best", "last"):
        look = selection[name]
        print(
            f"{name.capitalize()}: step {look['step']}, {100 * look['accuracy']:.1f} % of the given labels "
            f"of {selection['num_examples']} held-out examples"
        )
    for note in card["notes"]:
        print(f"Note: {note}")
    print(f"As a backbone: timm:{card['architecture']}@{out / 'model.safetensors'}")


app.command("deft", epilog=deft.EXAMPLES)(deft.deft)
