"""Recipes of studies by name or file, with what the command line changes.

Recipes ship with the package (`noiseproof ls recipes`); a file of one's own has the same keys.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from noiseproof.config.run import named_heads
from noiseproof.config.values import parse_overrides, read_yaml, set_value, validate
from noiseproof.core.errors import MissingFile, invalid
from noiseproof.core.registry import unknown_name
from noiseproof.study.recipe import Scale, StudyRecipe

_TOY_MINUTES = 2.0


def load_recipe(
    name: str | os.PathLike[str], *, overrides: Iterable[str] = (),
    command_line: Mapping[str, Any] | None = None, scale: str = "full",
) -> StudyRecipe:  # fmt: skip
    """A recipe by name or file, with what the command line changes.

    Args:
        name: of a shipped recipe, or a YAML file.
        overrides: of `--set`, each `key.subkey=value` with a YAML value.
        command_line: explicit options; those that are `None` were not given.
        scale: "small" and "toy" put the keys of that name in place of the recipe's own.

    Raises:
        UnknownName: no such recipe.
        InvalidArgument: with one line per mistake, all of them at once.
    """
    mistakes: list[str] = []
    path = recipe_path(name)
    values = read_yaml(path, argument="recipe")
    if scale not in get_args(Scale):
        raise invalid("scale", scale, ", ".join(get_args(Scale)))
    if scale != "full":
        own = values.get(scale)
        if not isinstance(own, dict):
            existing = ["full", *(name for name in ("small", "toy") if isinstance(values.get(name), dict))]
            raise invalid("scale", scale, f"what {str(path)!r} has keys for: {', '.join(existing)}")
        values |= own | {"scale": scale}
        if scale == "toy":
            values["minutes"] = own.get("minutes", _TOY_MINUTES)
    values |= {key: value for key, value in (command_line or {}).items() if value is not None}
    if "heads" in values:
        values["heads"] = named_heads(values["heads"])
    for keys, value in parse_overrides(overrides, command_line or {}, mistakes).items():
        set_value(StudyRecipe, values, keys, value, mistakes)
    return validate(StudyRecipe, values, mistakes, file=path)


def recipe_path(name: str | os.PathLike[str]) -> Path:
    """The file of a recipe: one that exists, or the shipped one of that name.

    Raises:
        MissingFile, UnknownName: neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    shipped = shipped_recipes()
    if path.stem in shipped and (path.suffix in ("", ".yaml", ".yml")):
        return shipped[path.stem]
    if path.suffix and path.suffix not in (".yaml", ".yml"):
        raise MissingFile(f"`recipe` is {str(path)!r}, which is no file. Next: check the path.")
    raise unknown_name("recipe", path.stem, shipped, "Or name a YAML file that exists.")


def shipped_recipes() -> dict[str, Path]:
    """Name -> file of every study that comes with the package, sorted; recipes of pre-training are not."""
    folder = Path(str(resources.files("noiseproof") / "recipes"))
    paths = sorted(path for path in folder.glob("*.yaml") if not path.stem.startswith("pretrain-"))
    return {path.stem: path for path in paths}
