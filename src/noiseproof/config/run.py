"""What a run is told: a file, `--set`, explicit options; checked whole, with every mistake at once.

Later sources win: defaults < `--config` file < command line (`--set` and options alike). An option and a
`--set` that give one key different values are a mistake, not a question of order.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from noiseproof.config.data import DataConfig
from noiseproof.config.values import checked, parse_overrides, parse_pairs, read_yaml
from noiseproof.core.registry import unknown_name

C = TypeVar("C", bound="DataConfig")
DEFAULT_HEADS = ("linear", "mlp", "nmtune")


def _default_heads() -> dict[str, dict[str, Any]]:
    return {name: {} for name in DEFAULT_HEADS}


class RunConfig(DataConfig):
    """Everything `noiseproof run` can be told; the command's options have the same names.

    Attributes:
        test: held-out set of the same domain; `None` splits `train`.
        ood: evaluation sets of other domains.
        test_label: label column of `test` and `ood`; by default `clean_label`, else `label`; "auto" finds it.
        test_fraction: size of the held-out part when there is no `test`, in (0, 1).
        seeds: every head is trained with seeds 0 .. seeds - 1.
        heads: name -> options of the head; `kind` says which head, by default the name.
        recipe: schedule and options the heads start from.
        views: with 2, heads learn from two augmented views of the training images instead of the images as
            they are, as the released code does.
        shifts: changes of the test images that make further out-of-domain sets.
        max_steps: bound on the optimiser steps of a head; `None` is the recipe's own.
        loss: of the heads that have none of their own; `None` is theirs, cross-entropy.
        loss_options: of that loss, such as {"q": 0.7}.
        seed: of the split, the injected noise and the shifts.
    """

    test: str | None = None
    ood: tuple[str, ...] = ()
    test_label: str | None = None
    test_fraction: float = Field(default=0.2, gt=0, lt=1)
    seeds: int = Field(default=3, ge=1)
    heads: dict[str, dict[str, Any]] = Field(default_factory=_default_heads)
    recipe: Literal["default", "paper", "released"] = "default"
    views: Literal[1, 2] = 1
    shifts: tuple[str, ...] = ()
    max_steps: int | None = Field(default=None, ge=1)
    loss: str | None = None
    loss_options: dict[str, Any] = Field(default={})

    @field_validator("heads", mode="before")
    @classmethod
    def _named_heads(cls, value: Any) -> Any:
        heads = as_heads(value)
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

    @field_validator("ood", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("shifts", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        return tuple(_names(value)) if isinstance(value, str) else value


class DetectConfig(DataConfig):
    """Everything `noiseproof detect` can be told; the command's options have the same names.

    Attributes:
        method: name of a detector, or "auto".
        method_options: of the detector, such as {"k": 20}.
        probs: file of out-of-sample class probabilities, see `noiseproof.data.formats.probabilities`.
        zero_shot: file of class probabilities of an image-text model.
        features: folder that `noiseproof extract` wrote for the data set, instead of encoding it.
        export: formats to write, too.
        seed: of the injected noise, of `limit` and of detectors that draw random numbers.
    """

    method: str = "auto"
    method_options: dict[str, Any] = Field(default={})
    probs: Path | None = None
    zero_shot: Path | None = None
    features: Path | None = None
    export: tuple[str, ...] = ()

    @field_validator("export", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        return tuple(_names(value)) if isinstance(value, str) else value

    @field_validator("export")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(value))

    @model_validator(mode="after")
    def _one_origin_of_features(self) -> DetectConfig:
        for name in ("backbone", "layer"):
            if self.features is not None and getattr(self, name) is not None:
                raise PydanticCustomError(
                    "two origins",
                    "`features` and `{name}` are both given; allowed: one of them, since these features "
                    "are made already",
                    {"name": name},
                )
        return self


def load_config(
    file: str | os.PathLike[str] | None = None,
    *,
    overrides: Iterable[str] = (),
    command_line: Mapping[str, Any] | None = None,
) -> RunConfig:
    """The configuration of a run from all its sources.

    Args:
        file: YAML; `None` for none.
        overrides: of `--set`, each `key.subkey=value` with a YAML value.
        command_line: explicit options; those that are `None` were not given.

    Raises:
        InvalidArgument: with one line per mistake, all of them at once.
    """
    return _loaded(RunConfig, file, overrides, command_line or {})


def load_detect_config(
    file: str | os.PathLike[str] | None = None,
    *,
    overrides: Iterable[str] = (),
    command_line: Mapping[str, Any] | None = None,
) -> DetectConfig:
    """The configuration of `noiseproof detect`; see `load_config`."""
    return _loaded(DetectConfig, file, overrides, command_line or {})


def _loaded(
    model: type[C],
    file: str | os.PathLike[str] | None,
    overrides: Iterable[str],
    command_line: Mapping[str, Any],
) -> C:
    mistakes: list[str] = []
    values = read_yaml(Path(file), argument="--config") if file is not None else {}
    given = {key: value for key, value in command_line.items() if value is not None}
    for name, option in (("loss_options", "--loss-option"), ("method_options", "--method-option")):
        if isinstance(given.get(name), list | tuple):
            given[name] = parse_pairs(given[name], option, mistakes)
    settings = parse_overrides(overrides, given, mistakes)
    if "heads" in values and (heads := as_heads(values["heads"])) is not None:
        values["heads"] = heads
    for key, value in given.items():
        values[key] = _picked_heads(value, values.get("heads")) if key == "heads" else value
    for path, value in settings.items():
        set_value(values, path, value, mistakes)
    return checked(model, values, mistakes, file=file)


def set_value(values: dict[Any, Any], path: tuple[str, ...], value: Any, mistakes: list[str]) -> None:
    """Put a value of `--set` where its path leads; what is wrong with it joins the mistakes."""
    if path[0] == "heads" and len(path) > 1:
        values.setdefault("heads", _default_heads())
        heads = values["heads"]
        if isinstance(heads, dict) and path[1] not in heads and path[2:] != ("kind",):
            mistakes.append(f"`{'.'.join(path)}`: " + str(unknown_name("head of this run", path[1], heads)))
            return
    place = values
    for part in path[:-1]:
        inner = place.get(part)
        if inner is None:
            inner = place[part] = {}
        if not isinstance(inner, dict):
            mistakes.append(f"`{'.'.join(path)}`: {part!r} is {inner!r} and has no parts")
            return
        place = inner
    place[path[-1]] = as_heads(value) or value if path == ("heads",) else value


def as_heads(value: Any) -> Any:
    """Names, "a,b" or name -> options, as name -> options; anything else as it is, for the check."""
    if isinstance(value, str):
        value = _names(value)
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        return {name: {} for name in value}
    if isinstance(value, dict):
        return {name: _own(options) for name, options in value.items()}
    return value


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _own(options: Any) -> Any:
    return dict(options or {}) if isinstance(options, dict | None) else options


def _picked_heads(value: Any, of_file: Any) -> Any:
    """The command line says which heads; options that the file has for them stay."""
    heads = as_heads(value)
    if heads == {}:
        return value  # for the check to show as it was written
    if isinstance(heads, dict) and isinstance(of_file, dict):
        return {name: options or of_file.get(name, {}) for name, options in heads.items()}
    return heads
