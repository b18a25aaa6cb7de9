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


def corrupt(
    data: Annotated[str, typer.Argument(help="Data set, or image-text pairs for captions.")],
    out: Annotated[Path, typer.Option(help="Folder of the manifest and, for captions, of the copy.")],
    kind: Annotated[str, typer.Option(help="Kind of noise; 'noiseproof ls noise' shows all.")] = "symmetric",
    rate: Annotated[float | None, typer.Option(help="Share to change, in [0, 1].")] = None,
    seed: Annotated[int, typer.Option(help="Of the draw; the same seed gives the same bytes.")] = 0,
    label: options.Label = None,
    clean_label: options.CleanLabel = None,
    image: options.Image = None,
    text: options.Text = None,
    caption: Annotated[
        str | None, typer.Option(help="Column of the captions, or their file name extension in shards.")
    ] = None,
    class_map: Annotated[
        str | None,
        typer.Option(help="Of kind asymmetric: cifar10, cifar100, a YAML file, or 'cat: dog, dog: cat'."),
    ] = None,
    transition: Annotated[
        Path | None,
        typer.Option(help="Of kind asymmetric: a matrix whose rows sum to 1, as .npy or text."),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            help="Of the instance kinds: folder that 'noiseproof extract' wrote; by default pixels."
        ),
    ] = None,
) -> None:
    """Make labels or captions wrong under control, and keep what was changed."""
    import rich

    from noiseproof import corruption
    from noiseproof.errors import invalid
    from noiseproof.report.renderers import to_terminal

    corruption.check_kind(kind)
    if kind == corruption.CAPTIONS:
        given = {"label": label, "clean_label": clean_label, "text": text, "class_map": class_map}
        for name, value in {**given, "transition": transition, "features": features}.items():
            if value is not None:
                raise invalid(name, str(value), "nothing for kind 'captions'", f"Leave `{name}` out.")
        if rate is None:
            raise invalid("rate", rate, "a share between 0 and 1")
        done = corruption.corrupt_pairs(data, rate=rate, seed=seed, out=out, caption=caption, image=image)
    else:
        if caption is not None:
            raise invalid("caption", caption, "nothing but for kind 'captions'", "Leave `caption` out.")
        done = corruption.corrupt_labels_of(
            data, kind=kind, rate=rate, seed=seed, out=out, label=label, clean_label=clean_label, image=image,
            text=text, class_map=class_map, transition=transition, features=features,
        )  # fmt: skip
    for table in corruption.tables(done):
        rich.print(to_terminal(table))
    print(f"Noise manifest {done.sha256[:16]} is in {out}")
    if done.files:
        print(f"{len(done.files)} file{'s' if len(done.files) > 1 else ''} with the new captions beside it")
