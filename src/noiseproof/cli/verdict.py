"""`noiseproof verdict`: was an encoder pre-trained on noisy labels?"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from noiseproof.cli import options

EPILOG = """Examples:

noiseproof verdict cifar10/test.parquet --backbone timm:resnet8@mine.safetensors

noiseproof verdict photos/ --backbone timm:resnet18 --reference a=0 --reference b=0.1
--reference c=0.2 --reference d=0.3
"""


Data = Annotated[str, typer.Argument(help="Data set on which encoders are compared.")]
Backbone = Annotated[str, typer.Option(help="The encoder in question.")]
References = Annotated[
    list[str] | None,
    typer.Option(
        help="Encoder of known noise, BACKBONE=RATE; may be repeated. By default the zoo's supervised ones."
    ),
]
Layer = Annotated[str | None, typer.Option(help="Layer of the encoder in question.")]
MaxWidth = Annotated[float, typer.Option(help="Widest interval that is still an answer, in [0, 1].")]
IsJson = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]
Seed = Annotated[int, typer.Option(help="Of the bootstrap and of --limit.")]


def verdict(
    data: Data,
    backbone: Backbone,
    reference: References = None,
    layer: Layer = None,
    label: options.Label = None,
    image: options.Image = None,
    limit: options.Limit = None,
    max_width: MaxWidth = 0.3,
    cache: options.Cache = None,
    is_json: IsJson = False,
    seed: Seed = 0,
) -> None:
    """Place an encoder among encoders of known pre-training noise, by the spectra of their features."""
    import rich

    import noiseproof
    from noiseproof.config.data import default_cache
    from noiseproof.pipelines import verdict as verdict_flow
    from noiseproof.report.renderers import to_terminal

    references = verdict_flow.parse_references(reference) if reference else verdict_flow.zoo_rates()
    dataset = noiseproof.open_dataset(data, label=label, image=image, limit=limit, seed=seed)
    found, known, unknown = verdict_flow.judge(
        dataset, backbone, references=references, store=cache or default_cache(), layer=layer,
        max_width=max_width, seed=seed,
    )  # fmt: skip
    if is_json:
        print(json.dumps(found.to_json(), indent=1))
        return
    if unknown is not None:
        rich.print(to_terminal(verdict_flow.known_table(known, backbone, unknown)))
    print(verdict_flow.sentence(found))
