"""Checks of a recipe before anything is computed: every name must exist."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from noiseproof.backbones.backbones import check_name
from noiseproof.backbones.image_text.shared_space import SHARED_SPACE, USUAL_MODEL, shares_space
from noiseproof.core.checks import check_entries
from noiseproof.core.errors import InvalidArgument, MissingExtra, NoiseproofError, invalid
from noiseproof.core.registry import unknown_name
from noiseproof.detect.detectors import AUTO, DETECTORS, checked_options, describe_needs, has_inputs
from noiseproof.study.axes import DetectorChoice
from noiseproof.study.figures.study_figures import FIGURES
from noiseproof.study.grid import Grid
from noiseproof.study.measures.peers import CLEANLAB, CLEANLAB_OPTIONS
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


def inputs_of(recipe: StudyRecipe) -> tuple[str, ...]:
    """Inputs that every encoder of a recipe gives detectors, beside the given labels."""
    is_shared = all(shares_space(name, one.layer) for one in recipe.backbones for name in one.names)
    return ("features", "text_tower") if is_shared else ("features",)


def check_choice(name: str, choice: DetectorChoice, inputs: Collection[str]) -> None:
    """Raise unless the method exists, has these options, and gets the inputs it needs.

    Raises:
        UnknownName, InvalidArgument: see `find_label_issues`.
    """
    known = (AUTO, *DETECTORS.names, CLEANLAB)
    if choice.method not in known:
        raise unknown_name("detector", choice.method, known)
    if choice.method == CLEANLAB:
        check_entries("method_options", choice.options, CLEANLAB_OPTIONS, owner=f"the detector {CLEANLAB!r}")
    elif choice.method != AUTO:
        options = checked_options(choice.method, choice.options)
        _check_needs(name, choice.method, options, inputs)
    elif choice.options:
        raise invalid(f"detectors.{name}.options", choice.options, "none with method 'auto'")


def _check_needs(name: str, method: str, options: Mapping[str, Any], inputs: Collection[str]) -> None:
    if not has_inputs(inputs, method, options):
        raise invalid(
            f"detectors.{name}.method", method, "a detector that looks at features only",
            f"It needs {describe_needs(method)}, and not every encoder of the recipe is an image-text model "
            f"with `layer: {SHARED_SPACE}`. Next: only such, e.g. {USUAL_MODEL}.",
        )  # fmt: skip
