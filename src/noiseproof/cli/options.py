"""The options of `run` and of the verbs that share them, each said once; names as in `RunConfig`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_DATA, _ENCODER, _HEADS, _WHERE = "Data", "Encoder", "Heads", "Run"
_INJECTED = "Label noise to inject"

Train = Annotated[
    str | None,
    typer.Option(
        help="Data set to train on: a folder of class folders, a .csv, .tsv, .jsonl, .parquet or .npz file, "
        "torchvision:NAME/split, hf:NAME/split, sklearn:digits or suite:NAME/split; "
        "see 'noiseproof ls datasets'.",
        rich_help_panel=_DATA,
    ),
]
Test = Annotated[
    str | None,
    typer.Option(
        help="Held-out data set of the same domain; without it a part of --train is held out.",
        rich_help_panel=_DATA,
    ),
]
Ood = Annotated[
    list[str] | None,
    typer.Option(help="Data set of another domain to evaluate on; may be repeated.", rich_help_panel=_DATA),
]
Label = Annotated[
    str | None,
    typer.Option(help="Column of the labels; found by its name where one fits.", rich_help_panel=_DATA),
]
Image = Annotated[
    str | None,
    typer.Option(help="Column of images or of their paths; found likewise.", rich_help_panel=_DATA),
]
Text = Annotated[
    str | None, typer.Option(help="Column of texts; found likewise.", rich_help_panel=_DATA)
]  # fmt: skip
CleanLabel = Annotated[
    str | None,
    typer.Option(
        help="Column of the true labels, where they are known: for evaluation, never for training.",
        rich_help_panel=_DATA,
    ),
]
TestLabel = Annotated[
    str | None,
    typer.Option(
        help="Label column of --test and --ood; by default --clean-label, else --label; 'auto' finds it.",
        rich_help_panel=_DATA,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(help="Use at most this many random examples of each data set.", rich_help_panel=_DATA),
]
OnError = Annotated[
    str | None,
    typer.Option(
        help="An unreadable example: 'raise' (default) stops and names it, 'skip' leaves it out.",
        rich_help_panel=_DATA,
    ),
]
TestFraction = Annotated[
    float | None,
    typer.Option(
        help="Share that is held out when there is no --test, in (0, 1); by default 0.2.",
        rich_help_panel=_DATA,
    ),
]
Corrupt = Annotated[
    str | None,
    typer.Option(
        help="Wrong labels to inject into the training part, KIND:RATE, e.g. symmetric:0.2 or "
        "asymmetric:cifar10:0.4.",
        rich_help_panel=_DATA,
    ),
]
NoiseManifest = Annotated[
    Path | None,
    typer.Option(
        help="Wrong labels that 'noiseproof corrupt' made for --train: its folder. Instead of --corrupt.",
        rich_help_panel=_DATA,
    ),
]
Shifts = Annotated[
    str | None,
    typer.Option(
        help="Changes of the test images that make more out-of-domain sets, e.g. blur,noise,fog-3; "
        "see 'noiseproof ls shifts'.",
        rich_help_panel=_DATA,
    ),
]
Backbone = Annotated[
    str | None,
    typer.Option(
        help="Frozen encoder, e.g. timm:resnet50; by default bundled:efficientnet-lite0 for images and "
        "features: for a matrix you already have.",
        rich_help_panel=_ENCODER,
    ),
]
Layer = Annotated[
    str | None,
    typer.Option(help="Which output of the encoder; by default its usual one.", rich_help_panel=_ENCODER),
]
Engine = Annotated[
    str | None,
    typer.Option(
        help="What runs the encoder: auto (default), torch or onnxruntime.", rich_help_panel=_ENCODER
    ),
]  # fmt: skip
Precision = Annotated[
    str | None,
    typer.Option(help="Arithmetic of the encoder: float32 (default) or bfloat16.", rich_help_panel=_ENCODER),
]
Dtype = Annotated[
    str | None,
    typer.Option(help="Of the stored features: float32 (default) or float16.", rich_help_panel=_ENCODER),
]
BatchSize = Annotated[
    int | None, typer.Option(help="Images per call of the encoder; by default 64.", rich_help_panel=_ENCODER)
]  # fmt: skip
Views = Annotated[
    int | None,
    typer.Option(
        help="With 2, heads learn from two augmented views of each image, as the released recipe does.",
        rich_help_panel=_ENCODER,
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the features, shared by all runs; by default $NOISEPROOF_CACHE or "
        "~/.cache/noiseproof/features.",
        rich_help_panel=_ENCODER,
    ),
]
Heads = Annotated[
    str | None,
    typer.Option(
        help="Which heads, separated by commas; by default linear,mlp,nmtune.", rich_help_panel=_HEADS
    ),
]
Recipe = Annotated[
    str | None,
    typer.Option(
        help="What the heads start from: default (bounded steps), paper or released.", rich_help_panel=_HEADS
    ),
]
Seeds = Annotated[
    int | None,
    typer.Option(
        help="Train every head this many times, with seeds 0, 1, ...; by default 3.", rich_help_panel=_HEADS
    ),
]
MaxSteps = Annotated[
    int | None,
    typer.Option(help="Bound on the optimiser steps of a head; by default 1000.", rich_help_panel=_HEADS),
]
Loss = Annotated[
    str | None,
    typer.Option(
        help="Loss of all heads, e.g. gce; see 'noiseproof ls losses'. By default cross_entropy.",
        rich_help_panel=_HEADS,
    ),
]
LossOption = Annotated[
    list[str] | None,
    typer.Option(
        "--loss-option",
        help="Of --loss, NAME=VALUE, e.g. q=0.7; may be repeated. transition=FILE is a .npy or text file.",
        rich_help_panel=_HEADS,
    ),
]
Out = Annotated[
    Path | None, typer.Option(help="The run folder; the same again goes on.", rich_help_panel=_WHERE)
]
Config = Annotated[
    Path | None,
    typer.Option(help="YAML file with any of these options; the command line wins.", rich_help_panel=_WHERE),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Any value by its name, e.g. heads.nmtune.weight_svd=0.02; may be repeated.",
        rich_help_panel=_WHERE,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        help="Of the split, the injected noise and the shifts; --seeds are the heads' own. By default 0.",
        rich_help_panel=_WHERE,
    ),
]
LabelNoise = Annotated[
    str | None,
    typer.Option(
        help="Kind, e.g. symmetric or asymmetric:cifar10; see 'noiseproof ls noise'.",
        rich_help_panel=_INJECTED,
    ),
]
Rate = Annotated[
    float | None, typer.Option(help="Share of the labels that get it, in [0, 1].", rich_help_panel=_INJECTED)
]
MadeNoise = Annotated[
    Path | None,
    typer.Option(
        help="Folder that 'noiseproof corrupt' made for --train, instead.", rich_help_panel=_INJECTED
    ),
]
