"""`noiseproof spectrum`: what the singular values of a feature matrix say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from noiseproof.cli import options

EPILOG = """Examples:

noiseproof spectrum features/

noiseproof spectrum features/ --centred --json > card.json

noiseproof spectrum features/ --figures pictures/ --data photos/
"""


Features = Annotated[Path, typer.Argument(help="Folder that 'noiseproof extract' wrote.")]
IsCentred = Annotated[bool, typer.Option("--centred", help="Take the mean row off first.")]
IsJson = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]
Figures = Annotated[
    Path | None, typer.Option(help="Folder for pictures: spectrum, feature maps, curvature of heads.")
]  # fmt: skip
Data = Annotated[
    str | None, typer.Option(help="Data set of the features, whose labels colour the feature maps.")
]  # fmt: skip
NoiseManifest = Annotated[
    Path | None, typer.Option(help="Labels that 'noiseproof corrupt' made wrong, instead of --data.")
]  # fmt: skip
Heads = Annotated[
    list[Path] | None,
    typer.Option(help="Saved head whose loss curvature is drawn, on the given labels; may be repeated."),
]
Points = Annotated[int, typer.Option(help="At most so many examples in the feature maps.")]
Seed = Annotated[int, typer.Option(help="Of the feature maps and the curvature.")]


def spectrum(
    features: Features,
    is_centred: IsCentred = False,
    is_json: IsJson = False,
    figures: Figures = None,
    data: Data = None,
    label: options.Label = None,
    clean_label: options.CleanLabel = None,
    noise_manifest: NoiseManifest = None,
    head: Heads = None,
    points: Points = 2000,
    seed: Seed = 0,
) -> None:
    """Singular values, entropy (SVE), largest-singular-value ratio (LSVR), effective rank."""
    import noiseproof

    stored = noiseproof.load_features(features)
    if figures is not None:
        from noiseproof import portrait

        labels = portrait.labels_for(
            stored, data=data, label=label, clean_label=clean_label, noise_manifest=noise_manifest
        )
        written = portrait.draw(
            stored, figures, labels=labels, heads=head or (), max_points=points, seed=seed
        )
        typer.echo(f"{len(written)} files are in {figures}", err=True)
    card = noiseproof.spectrum(stored.features, is_centred=is_centred)
    if is_json:
        print(json.dumps(card.to_json(), indent=1))
        return
    print(f"examples x dim    {card.num_examples} x {card.dim}{' (centred)' if is_centred else ''}")
    print(f"SVE               {card.entropy_nats:.4f} nats")
    print(f"LSVR              {card.largest_ratio:.4f}")
    print(f"effective rank    {card.effective_rank:.2f}")
    print(f"largest values    {', '.join(f'{value:.4g}' for value in card.singular_values[:5])}")
