"""Checks of a recipe before anything is computed: every name must exist."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from noiseproof.backbones.backbones import check_name
from noiseproof.core.errors import InvalidArgument, MissingExtra, NoiseproofError, invalid
from noiseproof.core.registry import unknown_name
from noiseproof.study.figures.study_figures import FIGURES
from noiseproof.study.grid import Grid
from noiseproof.study.measures.detector_measure import check_choice, inputs_of
from noiseproof.study.recipe import StudyRecipe
from noiseproof.study.tables.study_tables import TABLES


def checked_grid(recipe: StudyRecipe, *, data: Path | None = None) -> Grid:
    """The grid of a recipe whose names all exist.

    Args:
        recipe: of the study.
        data: folder that `{data}` stands for; `None` where none was named.

    Raises:
        InvalidArgument: heads, options, tables, figures, kinds of noise or encoders that do not exist, data
            that are no folder; all of them at once, a line each.
    """
    mistakes = [str(one) for one in _mistakes(recipe, data)]
    try:
        grid = Grid(recipe)
    except InvalidArgument as error:
        raise InvalidArgument("\n".join([*mistakes, str(error)])) from error
    if mistakes:
        raise InvalidArgument("\n".join(mistakes))
    return grid


def _mistakes(recipe: StudyRecipe, data: Path | None) -> Iterator[NoiseproofError]:
    for kind, names, known in (("table", recipe.tables, TABLES), ("figure", recipe.figures, FIGURES)):
        yield from (unknown_name(kind, name, known) for name in names if name not in known)
    for name, choice in recipe.detectors.items():
        try:
            check_choice(name, choice, inputs_of(recipe))
        except NoiseproofError as error:
            yield error
    for name in dict.fromkeys(name for one in recipe.backbones for name in (one.name, *one.repeats)):
        try:
            check_name(name)
        except MissingExtra:
            continue  # costs the results of that encoder only, which are reported at the end
        except NoiseproofError as error:
            yield error
    if data is not None and not data.is_dir():
        yield invalid("data", str(data), "a folder that exists", "Next: check the path.")
