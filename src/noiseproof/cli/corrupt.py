"""`noiseproof corrupt`: wrong labels or captions, kept so that others can train on them and check them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noiseproof.cli import options

EPILOG = """Examples:

noiseproof corrupt photos/ --rate 0.2 --out noise/

noiseproof corrupt train.parquet --kind asymmetric --class-map cifar10 --rate 0.4 --out noise/

noiseproof corrupt train.parquet --kind real --label worker --clean-label label --out noise/

noiseproof corrupt shards/ --kind captions --rate 0.1 --out noisy-shards/
"""


Data = Annotated[str, typer.Argument(help="Data set, or image-text pairs for captions.")]
Out = Annotated[Path, typer.Option(help="Folder of the manifest and, for captions, of the copy.")]
Kind = Annotated[str, typer.Option(help="Kind of noise; 'noiseproof ls noise' shows all.")]
Rate = Annotated[float | None, typer.Option(help="Share to change, in [0, 1].")]
Seed = Annotated[int, typer.Option(help="Of the draw; the same seed gives the same bytes.")]
Caption = Annotated[
    str | None, typer.Option(help="Column of the captions, or their file name extension in shards.")
]  # fmt: skip
ClassMap = Annotated[
    str | None,
    typer.Option(help="Of kind asymmetric: cifar10, cifar100, a YAML file, or 'cat: dog, dog: cat'."),
]
Transition = Annotated[
    Path | None, typer.Option(help="Of kind asymmetric: a matrix whose rows sum to 1, as .npy or text.")
]  # fmt: skip
Features = Annotated[
    Path | None,
    typer.Option(help="Of the instance kinds: folder that 'noiseproof extract' wrote; by default pixels."),
]


def corrupt(
    data: Data,
    out: Out,
    kind: Kind = "symmetric",
    rate: Rate = None,
    seed: Seed = 0,
    label: options.Label = None,
    clean_label: options.CleanLabel = None,
    image: options.Image = None,
    text: options.Text = None,
    caption: Caption = None,
    class_map: ClassMap = None,
    transition: Transition = None,
    features: Features = None,
) -> None:
    """Make labels or captions wrong under control, and keep what was changed."""
    import rich

    from noiseproof.pipelines import corrupt as corrupt_flow
    from noiseproof.report.renderers import to_terminal

    done = corrupt_flow.corrupt(
        data, kind=kind, rate=rate, seed=seed, out=out, image=image, caption=caption, label=label,
        clean_label=clean_label, text=text, class_map=class_map, transition=transition, features=features,
    )  # fmt: skip
    for table in corrupt_flow.tables(done):
        rich.print(to_terminal(table))
    print(f"Noise manifest {done.sha256[:16]} is in {out}")
    if done.files:
        print(f"{len(done.files)} file{'s' if len(done.files) > 1 else ''} with the new captions beside it")
