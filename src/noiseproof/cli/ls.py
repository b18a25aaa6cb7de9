"""`noiseproof ls`: names of components."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Annotated

import typer

EPILOG = """Examples:

noiseproof ls

noiseproof ls heads

noiseproof ls datasets
"""


def names_in(table: str | None) -> Callable[[str], list[str]]:
    """What the shell completes: the names in a table, or those of the tables."""

    def complete(incomplete: str) -> list[str]:
        names = list(_tables()) if table is None else _names(table, _tables()[table]())
        return [name for name in names if name.startswith(incomplete)]

    return complete


def ls(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="WHAT", help="Table to list; without it, names of tables.", autocompletion=names_in(None)
        ),
    ] = None,
) -> list[str]:
    """List backbones, data sets, heads, losses, noise, recipes, shifts, detectors, sources; --json: names."""
    from noiseproof.core.registry import unknown_name

    tables = _tables()
    if what is not None and what not in tables:
        raise unknown_name("table", what, tables)
    lines = list(tables if what is None else tables[what]())
    print("\n".join(lines))
    return lines if what is None else _names(what, lines)


def _names(table: str, lines: Iterable[str]) -> list[str]:
    """The names in a table, as options take them."""
    if table == "datasets":
        from noiseproof.data.suites.suites import SUITES

        return [f"suite:{name}" for sets in SUITES.values() for name in sets]
    if table == "noise":
        from noiseproof.noise.spec import NOISE_KINDS

        return list(NOISE_KINDS)
    return [line.split()[0] for line in lines if line[0] != " "]  # options are indented


def _tables() -> dict[str, Callable[[], Iterable[str]]]:
    return {
        "backbones": _backbones,
        "datasets": _datasets,
        "detectors": _detectors,
        "heads": _heads,
        "losses": _losses,
        "noise": _noise,
        "recipes": _recipes,
        "shifts": _shifts,
        "sources": _sources,
    }


def _backbones() -> Iterable[str]:
    from noiseproof.backbones.backbones import EXAMPLES
    from noiseproof.backbones.bundled.zoo_cards import describe, zoo_card, zoo_names

    yield from (name for name in EXAMPLES if not name.startswith("zoo:"))
    for name in zoo_names():
        yield f"{'zoo:' + name:26}{describe(zoo_card(name))}"


def _datasets() -> Iterable[str]:
    from noiseproof.data.sources import PREFIXES, SOURCES
    from noiseproof.data.suites.suites import suite_lines

    sources = [f"{name}:..." if name in PREFIXES else name for name in SOURCES.names]
    return [
        "Data sets of the papers, by suite; each is opened as suite:NAME/train or suite:NAME/test:",
        "",
        *suite_lines(),
        "",
        f"And any of your own, by one of the sources: {', '.join(sources)}",
    ]


def _detectors() -> Iterable[str]:
    from noiseproof.core.checks import describe_allowed
    from noiseproof.detect.detectors import TABLE, describe_needs

    yield f"{'auto':20}chooses a detector that fits the inputs, and says why"
    for name, entry in TABLE.items():
        yield f"{name:20}{entry.summary}  (needs {describe_needs(name)}; {entry.source})"
        for option, allowed in entry.options.items():
            yield f"    {option}: {describe_allowed(allowed)}"


def _heads() -> Iterable[str]:
    from noiseproof.heads.estimators import HEADS

    return [f"{name:10}{_summary(head)}" for name, head in HEADS.items()]


def _losses() -> Iterable[str]:
    from noiseproof.losses.losses import TABLE

    for name, loss in TABLE.items():
        yield f"{name:16}{loss.summary}  ({loss.source})"
        for option, described in loss.options.items():
            yield f"    {option}={described}"


def _noise() -> Iterable[str]:
    from noiseproof.noise.kinds import KINDS
    from noiseproof.noise.spec import CAPTIONS, FORMS

    yield from (f"{kind:22}{_summary(KINDS.load(kind))}" for kind in KINDS.names)
    yield f"{CAPTIONS:22}Give a share of the captions to other images."
    yield from ("", f"As an option: --noise {FORMS}")


def _recipes() -> Iterable[str]:
    from noiseproof.pretrain.pretrain_settings import read_recipe, recipe_names
    from noiseproof.study.recipe import load_recipe, shipped_recipes

    for name in shipped_recipes():
        recipe = load_recipe(name)
        yield f"{name}  ({recipe.minutes:g} min on {recipe.hardware})\n    {recipe.claim}"
    for name in recipe_names():
        training = read_recipe(name)
        yield f"{name}  ({training.cost})\n    {training.title}"


def _shifts() -> Iterable[str]:
    from noiseproof.data.shifts.corruptions import CORRUPTIONS, SEVERITIES
    from noiseproof.data.shifts.shifts import SHIFTS

    strengths = f"with a severity from {SEVERITIES[0]} (mild) to {SEVERITIES[-1]}"
    yield from (f"{kind:22}{_summary(change)}" for kind, (change, _) in SHIFTS.items())
    yield from (f"{kind + '-N':22}{strengths}" for kind in CORRUPTIONS)


def _sources() -> Iterable[str]:
    from noiseproof.data.sources import PREFIXES, SOURCES

    for name in SOURCES.names:
        yield f"{f'{name}:' if name in PREFIXES else name:14}{_summary(SOURCES.load(name))}"


def _summary(described: object) -> str:
    """First line of a docstring."""
    return (inspect.getdoc(described) or "").partition("\n")[0]
