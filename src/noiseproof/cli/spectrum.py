"""`noiseproof spectrum`: what the singular values of a feature matrix say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from noiseproof.core.errors import invalid
from noiseproof.core.plurals import counted

EPILOG = """Examples:

noiseproof spectrum features/

noiseproof spectrum features/ --centred --json > card.json

noiseproof spectrum features/ --figures pictures/ --data photos/
"""


Features = Annotated[Path, typer.Argument(metavar="FEATURES", help="Folder that 'noiseproof extract' wrote.")]
IsCentred = Annotated[bool, typer.Option("--centred", help="Take the mean row off first.")]
Figures = Annotated[
    Path | None, typer.Option(help="Folder for pictures: spectrum, feature maps, curvature of heads.")
]  # fmt: skip
Data = Annotated[
    str | None, typer.Option(help="Data set of the features, whose labels colour the feature maps.")
]  # fmt: skip
Label = Annotated[
    str | None, typer.Option(help="Column of the labels of --data.", show_default="found by name")
]
CleanLabel = Annotated[
    str | None, typer.Option(help="Column of the true labels of --data, where they are known.")
]
NoiseManifest = Annotated[
    Path | None, typer.Option(help="Labels that 'noiseproof corrupt' made wrong, instead of --data.")
]  # fmt: skip
Heads = Annotated[
    list[Path] | None,
    typer.Option(help="Saved head whose loss curvature is drawn, on the given labels; may be repeated."),
]
_POINTS = 2000
Points = Annotated[
    int | None, typer.Option(help=f"At most so many examples in the feature maps; by default {_POINTS}.")
]
Seed = Annotated[int | None, typer.Option(help="Of the feature maps and the curvature; by default 0.")]


def spectrum(
    features: Features,
    is_centred: IsCentred = False,
    figures: Figures = None,
    data: Data = None,
    label: Label = None,
    clean_label: CleanLabel = None,
    noise_manifest: NoiseManifest = None,
    head: Heads = None,
    points: Points = None,
    seed: Seed = None,
) -> dict[str, Any]:
    """Singular values, entropy (SVE), largest-singular-value ratio (LSVR), effective rank."""
    import noiseproof

    if (features / "spectrum.json").is_file():
        raise invalid(
            "features", str(features), "a folder of 'noiseproof extract'",
            "It holds a run, whose spectrum is in its spectrum.json and report.html.",
        )  # fmt: skip
    stored = noiseproof.load_features(features, argument="features")
    of_figures = {
        "data": data, "label": label, "clean_label": clean_label, "noise_manifest": noise_manifest,
        "head": head, "points": points, "seed": seed,
    }  # fmt: skip
    if figures is None:
        for name, value in of_figures.items():
            if value is not None:
                raise invalid(name, str(value), "nothing without `figures`", "Add --figures FOLDER.")
    else:
        from noiseproof.pipelines import portrait

        labels = portrait.labels_for(
            stored, data=data, label=label, clean_label=clean_label, noise_manifest=noise_manifest
        )
        written = portrait.draw(
            stored, figures, labels=labels, heads=head or (),
            max_points=_POINTS if points is None else points, seed=seed or 0,
        )  # fmt: skip
        typer.echo(f"{counted(len(written), 'file')} in {figures}", err=True)
    card = noiseproof.spectrum(stored.features, is_centred=is_centred)
    print(f"examples x dim    {card.num_examples} x {card.dim}{' (centred)' if is_centred else ''}")
    print(f"SVE               {card.entropy_nats:.4f} nats")
    print(f"LSVR              {card.largest_ratio:.4f}")
    print(f"effective rank    {card.effective_rank:.2f}")
    print(f"largest values    {', '.join(f'{value:.4g}' for value in card.singular_values[:5])}")
    return card.to_json()
