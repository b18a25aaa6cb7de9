"""Configuration of `noiseproof run`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import field_validator, model_validator

from noiseproof.config.base import option, split_at_commas
from noiseproof.config.data import (
    DATA,
    RUN,
    DecisionsConfig,
    EncodersConfig,
    EvaluationConfig,
    IssueFilesConfig,
    PlanConfig,
)
from noiseproof.core.registry import unknown_name
from noiseproof.data.request import Task

HEADS = "Heads"
DEFAULT_HEADS, PUBLISHED_HEADS = ("linear", "nmtune"), ("linear", "mlp", "nmtune")
AUTO = "auto"  # of the option noise_tolerant: where labels look wrong


class RunConfig(EvaluationConfig, EncodersConfig, IssueFilesConfig, DecisionsConfig, PlanConfig):
    """Everything `noiseproof run` takes; the command's options have the same names."""

    task: Task = option(
        "auto", panel=DATA,
        help="What the labels are: classes, or numbers to predict (regression); auto takes numbers with "
        "fractions as numbers to predict, and says so.",
    )  # fmt: skip
    seeds: int | None = option(
        None, ge=1, panel=HEADS, help="Train every head this many times, with seeds 0, 1, ...",
        shown_default="3, and 1 from 20,000 examples on",
    )  # fmt: skip
    heads: dict[str, dict[str, Any]] = option(
        panel=HEADS, default_factory=lambda: default_heads("default"),
        shown_default=f"{','.join(DEFAULT_HEADS)}, which withstand wrong labels where some are found; "
        f"{','.join(PUBLISHED_HEADS)} with recipe paper or released",
        help="Heads to train, separated by commas; their options by --set heads.NAME.OPTION=VALUE.",
    )  # fmt: skip
    recipe: Literal["default", "paper", "released"] = option(
        "default", panel=HEADS, help="Schedule and options heads start from; default bounds the steps."
    )
    views: Literal[1, 2] = option(
        1, panel=HEADS,
        help="With 2, heads learn from two augmented views of each image, as the released recipe does.",
    )  # fmt: skip
    max_steps: int | None = option(
        None, ge=1, panel=HEADS, help="Bound on the optimiser steps of a head.",
        shown_default="1000; none with recipe paper or released",
    )  # fmt: skip
    loss: str | None = option(
        None, panel=HEADS, help="Loss of all heads, such as gce; see 'noiseproof ls losses'.",
        shown_default="cross_entropy",
    )  # fmt: skip
    loss_options: dict[str, Any] = option(
        {}, panel=HEADS, help="Option of --loss, such as q=0.7; transition=FILE is a .npy or text file.",
        shown_default="those of the loss",
    )  # fmt: skip
    seed: int = option(
        0,
        ge=0,
        panel=RUN,
        help="Seed of the split, the noise and the shifts; heads have --seeds of their own.",
    )

    @model_validator(mode="before")
    @classmethod
    def _heads_of_the_recipe(cls, values: Any) -> Any:
        if isinstance(values, dict) and "heads" not in values:
            return values | {"heads": default_heads(values.get("recipe"))}
        return values

    @field_validator("heads", mode="before")
    @classmethod
    def _named_heads(cls, value: Any) -> Any:
        heads = named_heads(value)
        if heads == {}:
            raise ValueError("one name or more, such as 'linear,mlp'")
        return heads

    @field_validator("heads")
    @classmethod
    def _safe_head_names(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name in value:  # each is part of a file name
            if not re.fullmatch(r"[\w.+-]+", name) or name.startswith("."):
                raise ValueError(f"letters, digits, '_', '-', '+' and '.' in a head's name, not {name!r}")
        return value

    @classmethod
    def merge(cls, from_file: Mapping[Any, Any], from_options: Mapping[str, Any]) -> dict[Any, Any]:
        """Let the command line choose the heads; options that the file has for those stay."""
        values = {**from_file, **from_options}
        if values.get("recipe", "default") != "default":  # so that --set changes one of these
            values.setdefault("heads", default_heads(values["recipe"]))
        in_file, chosen = named_heads(from_file.get("heads")), named_heads(from_options.get("heads"))
        if isinstance(in_file, dict) and isinstance(chosen, dict) and chosen:
            values["heads"] = {name: own or in_file.get(name, {}) for name, own in chosen.items()}
        elif isinstance(in_file, dict) and "heads" not in from_options:
            values["heads"] = in_file
        elif isinstance(chosen, dict) and chosen:
            values["heads"] = chosen
        return values

    @classmethod
    def check_path(cls, values: Mapping[Any, Any], path: tuple[str, ...]) -> str | None:
        """Refuse options of a head that this run does not train."""
        return check_head_path(values, path)


def default_heads(recipe: Any) -> dict[str, dict[str, Any]]:
    """Heads of a run that names none: those of the paper, or two that withstand wrong labels."""
    if recipe in ("paper", "released"):
        return {name: {} for name in PUBLISHED_HEADS}
    return {name: {"noise_tolerant": AUTO} for name in DEFAULT_HEADS}


def check_head_path(values: Mapping[Any, Any], path: tuple[str, ...]) -> str | None:
    """Error message for `--set heads.NAME...` where NAME is not trained, or `None`."""
    if path[0] != "heads" or len(path) == 1:
        return None
    heads = values.get("heads", default_heads(values.get("recipe")))
    if isinstance(heads, dict) and path[1] not in heads and path[2:] != ("kind",):
        return str(unknown_name("head of this run", path[1], heads))
    return None


def named_heads(value: Any) -> Any:
    """Names, "a,b" or name -> options, as name -> options; anything else as it is, for the check."""
    names = split_at_commas(value)
    if isinstance(names, tuple):
        return {name: {} for name in names}
    if isinstance(value, dict):
        return {name: dict(own or {}) if isinstance(own, dict | None) else own for name, own in value.items()}
    return value
