"""`noiseproof study`: a grid of heads over encoders, data sets and noise."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from noiseproof.cli.guard import command_line
from noiseproof.core.errors import NoiseproofError
from noiseproof.core.plurals import counted

EPILOG = """Examples:

noiseproof ls recipes

noiseproof study paper1-influence --data data --out studies/influence

noiseproof study paper1-influence --scale toy --out studies/toy

noiseproof study my-study.yaml --data data --out studies/mine --set seeds=5 --plan
"""


def _shipped(incomplete: str) -> list[str]:
    from noiseproof.study.recipe import shipped_recipes

    return [name for name in shipped_recipes() if name.startswith(incomplete)]


def study(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE",
            autocompletion=_shipped,
            help="Name of a recipe ('noiseproof ls recipes') or a YAML file.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the study; started again, it goes on.")],
    data: Annotated[Path | None, typer.Option(help="Folder that {data} in the recipe stands for.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Seeds of everything that is drawn.")] = None,
    limit: Annotated[
        int | None, typer.Option(help="Use at most this many examples of each data set, drawn by class.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change a key of the recipe: key.subkey=value.")
    ] = None,
    scale: Annotated[
        str,
        typer.Option(help="small: for a computer without a GPU, where a recipe has it; toy: for a try."),
    ] = "full",
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Only print how many results to compute, and the time."),
    ] = False,
    cache: Annotated[Path | None, typer.Option(help="Feature store, shared by all studies and runs.")] = None,
) -> dict[str, Any]:
    """Compute missing results of a study, then write tables, figures and a page."""
    from noiseproof.config.data import default_cache
    from noiseproof.study.recipe import load_recipe
    from noiseproof.study.study import plan_study, run_study

    given = {"seeds": seeds, "limit": limit}
    loaded = load_recipe(recipe, overrides=set_ or (), command_line=given, scale=scale)
    if plan:
        planned = plan_study(loaded, out=out)
        print(planned)
        return dataclasses.asdict(planned)
    result = run_study(loaded, out=out, cache=cache or default_cache(), data=data, command=command_line())
    num = result.outcome.num_computed
    print(
        f"{counted(num, 'result')} {'was' if num == 1 else 'were'} computed; the study now has "
        f"{counted(result.results.num_results, 'result')}."
    )
    print(f"Tables and figures: {result.page}")
    if failures := result.outcome.failures:
        reasons = "".join(f"\n- {count}: {reason}" for reason, count in failures.items())
        raise NoiseproofError(f"Not computed: {counted(sum(failures.values()), 'result')}{reasons}")
    return {
        "folder": result.folder, "page": result.page, "num_computed": result.outcome.num_computed,
        "num_results": result.results.num_results,
    }  # fmt: skip
