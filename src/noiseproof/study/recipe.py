"""A study as a file: the claim, where it stands in the paper, the grid, and what to make of the results.

Data sets may begin with `{data}`, which is the folder of `--data`. Recipes ship with the package (`noiseproof
ls recipes`); a file of one's own has the same keys.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from noiseproof.config.base import Config
from noiseproof.config.run import check_head_path, named_heads
from noiseproof.config.values import parse_overrides, read_yaml, set_value, validate
from noiseproof.core.errors import MissingFile, invalid
from noiseproof.core.registry import unknown_name
from noiseproof.noise.spec import Noise
from noiseproof.study.axes import Detectors, Encoder, Noises, StudyTask

NOT_RUN = "not run yet"
_TOY_MINUTES = 2.0
PLACEHOLDER = "{data}"
_NAME = r"[\w.+-]+"
Scale = Literal["full", "small", "toy"]


class StudyRecipe(Config):
    """A study: every encoder x task x label noise x head x setting x seed x share of the data.

    Attributes:
        name: of the recipe.
        claim: what the study is to show, a sentence.
        source: paper, table and figure of the claim.
        command: how it is started.
        minutes: how long it takes on `hardware`.
        hardware: what the time was stated for, and what it costs.
        needs: what has to be in the folder of `--data`, and where it comes from.
        expected: direction and range that the claim predicts.
        found: the result, with intervals.
        backbones: encoders.
        tasks: name -> data sets.
        noise: wrong labels to inject into the training part, `kind:rate` or "none".
        heads: name -> options, as in `run`.
        tunings: name -> settings of a fine-tuning, as in `adapt finetune --set`; the step that held-out
            labels select and the last one are the settings "best" and "last" of the results.
        detectors: name -> method and options; each runs on the training part of every task.
        downstream: also train a linear probe on what a detector leaves, and on what it relabels.
        settings: name -> options that every head gets on top; a table's rows in ablations.
        shares: parts of the training set to train on, in (0, 1].
        seeds: everything that is drawn is drawn with seeds 0 .. seeds - 1: initial weights, batches, wrong
            labels, the part of the training set.
        recipe: schedule and options the heads start from, as in `run`.
        max_steps: bound on the optimiser steps of a head; `None` is the recipe's own.
        views: 2 also extracts an augmented view of the training part.
        has_head_spectra: also the spectrum of the features as a head reshapes them.
        limit: at most this many examples of each set, drawn by class.
        engine, precision, dtype, batch_size: of the encoder, as in `run`.
        split_seed: of the held-out parts and of `limit`.
        tables: names in `study.tables.study_tables.TABLES`.
        figures: names in `study.figures.study_figures.FIGURES`.
        scale: whose keys these are; the page of a toy warns that its numbers mean nothing.
        small: keys that `--scale small` replaces, for a computer without a GPU.
        toy: keys that `--scale toy` replaces, to try the recipe in seconds.
    """

    name: str
    claim: str
    source: str
    command: str
    minutes: float = Field(gt=0)
    hardware: str
    needs: str
    expected: str
    found: str = NOT_RUN
    backbones: tuple[Encoder, ...] = Field(min_length=1)
    tasks: dict[str, StudyTask] = Field(min_length=1)
    noise: Noises = Field(default=(None,), min_length=1)
    heads: Annotated[dict[str, dict[str, Any]], BeforeValidator(named_heads)] = Field(default={})
    tunings: dict[str, dict[str, Any]] = Field(default={})
    detectors: Detectors = Field(default={})
    downstream: bool = False
    settings: dict[str, dict[str, Any]] = Field(default={"default": {}}, min_length=1)
    shares: tuple[float, ...] = Field(default=(1.0,), min_length=1)
    seeds: int = Field(default=3, ge=1, le=1000)
    recipe: Literal["default", "paper", "released"] = "default"
    max_steps: int | None = Field(default=None, ge=1)
    views: Literal[1, 2] = 1
    has_head_spectra: bool = False
    limit: int | None = Field(default=None, ge=1)
    engine: Literal["auto", "torch", "onnxruntime"] = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"
    dtype: Literal["float32", "float16"] = "float32"
    batch_size: int = Field(default=64, ge=1)
    split_seed: int = Field(default=0, ge=0)
    scale: Scale = "full"
    tables: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    small: dict[str, Any] = Field(default={})
    toy: dict[str, Any] = Field(default={})

    @field_validator("shares")
    @classmethod
    def _in_range(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < share <= 1 for share in value):
            raise ValueError("numbers above 0 and up to 1")
        return value

    @field_validator("heads", "tunings", "detectors", "settings", "tasks")
    @classmethod
    def _safe_names(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if not re.fullmatch(_NAME, name):
                raise ValueError(f"letters, digits, '_', '-', '+' and '.' in a name, not {name!r}")
        return value

    @model_validator(mode="after")
    def _each_once(self) -> StudyRecipe:
        names = [(name, encoder.layer) for encoder in self.backbones for name in encoder.names]
        of_tasks = [self.noise, *(self.noises_of(task) for task in self.tasks)]
        # Tables tell noises apart by kind and rate, so two maps of one rate would be one.
        noises = [[None if one is None else (one.kind, one.rate) for one in of] for of in of_tasks]
        axes: list[Sequence[Any]] = [names, *noises, self.shares]
        for values in axes:
            if len(set(values)) < len(values):
                raise ValueError(f"each encoder, noise and share once, not {values!r}")
        return self

    @model_validator(mode="after")
    def _something_to_do(self) -> StudyRecipe:
        if not self.heads and not self.tunings and not self.detectors:
            raise ValueError("`heads`, `tunings`, `detectors` or several of them")
        if twice := self.heads.keys() & self.tunings.keys():
            raise ValueError(f"a name for heads or for tunings, not for both: {', '.join(sorted(twice))}")
        on_features = "heads" if self.heads else "detectors" if self.detectors else None
        if on_features and any(one.init == "random" for one in self.backbones):
            raise ValueError(
                f"no `{on_features}` with an encoder of `init: random`, whose features tell nothing"
            )
        return self

    @model_validator(mode="after")
    def _encoders_are_distinct_and_repeated_enough(self) -> StudyRecipe:
        kinds = Counter((one.family, one.noise) for one in self.backbones if one.noise is not None)
        for (family, noise), count in kinds.items():
            if count > 1:
                raise ValueError(
                    f"one encoder per family and noise, not {count} of {family!r} with {noise:g}. Next: "
                    "for encoders made in the same way use `repeats`, for others another `family`"
                )
        for encoder in self.backbones:
            if encoder.repeats and len(encoder.names) < self.seeds:
                raise ValueError(
                    f"no repeats or at least {self.seeds - 1} of them for {self.seeds} seeds, not "
                    f"{len(encoder.repeats)} as {encoder.title!r} has"
                )
        return self

    @model_validator(mode="after")
    def _one_kind_of_truth(self) -> StudyRecipe:
        # As in `RunConfig`. Noise would start from the true labels, "none" be what was given: no one axis.
        for name, task in self.tasks.items():
            noises = [str(one) for one in self.noises_of(name) if one is not None]
            if noises and task.clean_label is not None:
                raise PydanticCustomError(
                    "two truths",
                    "`noise` has '{noise}' and task '{task}' the column '{column}' as `clean_label`; "
                    "allowed: one of them, since noise on top of wrong labels has no one truth to measure "
                    "against. Next: for noise on the true labels, name their column with `label` and leave "
                    "`clean_label` out; for the given labels, leave `noise` out, or give the task its "
                    "own, `noise: [none]`",
                    {"noise": noises[0], "task": name, "column": task.clean_label},
                )
        return self

    @classmethod
    def check_path(cls, values: Mapping[Any, Any], path: tuple[str, ...]) -> str | None:
        """Refuse options of a head that this study does not train."""
        return check_head_path(values, path)

    def limit_of(self, task: str) -> int | None:
        """At most so many random examples of each set of a task; `None` is no bound."""
        limits = [limit for limit in (self.tasks[task].limit, self.limit) if limit is not None]
        return min(limits, default=None)

    def noises_of(self, task: str) -> Noises:
        """The wrong labels to inject into a task."""
        own = self.tasks[task].noise
        return self.noise if own is None else own

    @property
    def noises(self) -> list[Noise]:
        """All noise that some task injects."""
        found = (one for task in self.tasks for one in self.noises_of(task) if one is not None)
        return list({(one.kind, one.rate): one for one in found}.values())

    def to_json(self) -> dict[str, Any]:
        """The recipe as it is saved with the results."""
        return self.model_dump(mode="json")


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
