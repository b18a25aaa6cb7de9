"""Load a configuration: defaults < file < command line (`--set` and options alike), every mistake at once.

An option and a `--set` that give one key different values are a mistake, not a question of order.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from noiseproof.config.base import Config
from noiseproof.core.errors import InvalidArgument, MissingFile, NoiseproofError, quoted, shown
from noiseproof.core.registry import unknown_name
from noiseproof.core.storage.yaml_text import BadYaml, parse_yaml, read_yaml_file

C = TypeVar("C", bound=Config)
M = TypeVar("M", bound=BaseModel)


# Options and keys of earlier versions -> what to write now.
RENAMED = {
    "corrupt": "noise, such as noise=symmetric:0.2",
    "label_noise": "noise, such as noise=symmetric:0.2",
    "rate": "noise, such as noise=symmetric:0.2",
    "kind": "noise, such as noise=symmetric:0.2",
    "class_map": "noise, such as noise=asymmetric:cifar10:0.4",
    "transition": "noise, such as noise=asymmetric:matrix.npy",
    "phase2_set": "set, such as set=phase2_settings.epochs=5",
    "look_epochs": "eval_epochs",
    "reference": "references",
}


def load_config(
    model: type[C],
    file: str | os.PathLike[str] | None = None,
    *,
    overrides: Iterable[str] = (),
    options: Mapping[str, Any] | None = None,
) -> C:
    """Build the configuration of a verb from all its sources.

    Args:
        model: of the verb, such as `RunConfig`.
        file: YAML with `option: value` lines.
        overrides: of `--set`, each `key.subkey=value` with a YAML value.
        options: of the command line, by field; those that are `None` were not given.

    Raises:
        InvalidArgument: with one line per mistake, all of them at once.
    """
    mistakes: list[str] = []
    from_file = read_yaml(Path(file), argument="config") if file is not None else {}
    given = {name: value for name, value in (options or {}).items() if value is not None}
    for name, value in given.items():
        if is_table(model, name) and isinstance(value, list | tuple):
            given[name] = parse_pairs(value, name, mistakes)
    values = model.merge(from_file, given)
    for path, value in parse_overrides(overrides, given, mistakes).items():
        set_value(model, values, path, value, mistakes)
    return validate(model, values, mistakes, file=file)


def is_table(model: type[BaseModel], name: str) -> bool:
    """Whether a field is a table of options, given as NAME=VALUE pairs on the command line."""
    field = model.model_fields.get(name)
    return field is not None and get_origin(field.annotation) is dict and get_args(field.annotation)[1] is Any


def set_value(
    model: type[Config], values: dict[Any, Any], path: tuple[str, ...], value: Any, mistakes: list[str]
) -> None:
    """Put a value of `--set` where its path leads; an error is appended to the mistakes."""
    mistake = model.check_path(values, path)
    if mistake is not None:
        mistakes.append(f"`{'.'.join(path)}`: {mistake}")
        return
    place = values
    for number, part in enumerate(path[:-1]):
        inner = place.get(part)
        if inner is None:
            inner = place[part] = _default_table(model, part) if number == 0 else {}
        if not isinstance(inner, dict):
            mistakes.append(f"`{'.'.join(path)}`: {part!r} is {shown(inner)} and has no parts")
            return
        place = inner
    place[path[-1]] = value


def _default_table(model: type[BaseModel], name: str) -> dict[Any, Any]:
    """The default of a field that is a table, so that `--set` changes one entry of it."""
    field = model.model_fields.get(name)
    default = None if field is None else field.get_default(call_default_factory=True)
    return dict(default) if isinstance(default, dict) else {}


def read_yaml(path: Path, *, argument: str) -> dict[Any, Any]:
    """The `key: value` lines of a file.

    Raises:
        MissingFile, InvalidArgument: no file, or not such lines.
    """
    if not path.is_file():
        raise MissingFile(f"`{argument}` is {str(path)!r}, which is no file. Next: check the path.")
    try:
        values = read_yaml_file(path)
    except BadYaml as error:
        raise InvalidArgument(
            f"`{argument}` {str(path)!r} is not YAML: {error}. Next: correct it."
        ) from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InvalidArgument(
            f"`{argument}` {str(path)!r} holds a {type(values).__name__}; allowed: `option: value` lines."
        )
    return values


def parse_overrides(
    overrides: Iterable[str], given: Mapping[str, Any], mistakes: list[str]
) -> dict[tuple[str, ...], Any]:
    """`a.b=value` -> {("a", "b"): value}; only the first `=` divides."""
    settings: dict[tuple[str, ...], Any] = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        path = tuple(part.strip() for part in key.split("."))
        if not equals or not all(path):
            mistakes.append(f"`--set` is {shown(override)}; allowed: key=value or key.subkey=value")
            continue
        try:
            value = parse_yaml(text)
        except BadYaml as error:
            mistakes.append(
                f"`--set {key}` has the value {shown(text)}, which is not YAML ({error}); quote it"
            )
            continue
        if len(path) == 1 and path[0] in given and str(given[path[0]]) != str(value):
            mistakes.append(
                f"{quoted(path[0])} is {shown(given[path[0]])} and --set {override}; give one of them"
            )
            continue
        settings[path] = value
    return settings


def parse_pairs(texts: Iterable[str], option: str, mistakes: list[str]) -> dict[str, Any]:
    """`name=value` -> {name: value}."""
    pairs: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            mistakes.append(f"{quoted(option)} is {shown(text)}; allowed: name=value")
            continue
        try:
            pairs[name.strip()] = parse_yaml(value)
        except BadYaml as error:
            mistakes.append(
                f"{quoted(option)} {name} has the value {shown(value)}, which is not YAML ({error}); quote it"
            )
    return pairs


def validate(model: type[M], values: dict[Any, Any], mistakes: list[str], *, file: object) -> M:
    """Validate values and build the configuration.

    Args:
        model: of the configuration.
        values: by name.
        mistakes: found so far; raised together with new ones.
        file: source of values, for the message; `None` without one.

    Raises:
        InvalidArgument: with one line per mistake, all of them at once.
    """
    try:
        config = model(**values)
    except ValidationError as error:
        mistakes += [line for one in error.errors() for line in describe_error(one, model).split("\n- ")]
    except TypeError:  # a key of the file that is not a word
        mistakes += [f"`{key}` is not a name of an option" for key in values if not isinstance(key, str)]
    if mistakes:
        raise InvalidArgument(describe_mistakes(mistakes, file))
    return config


def describe_error(error: Any, model: type[BaseModel]) -> str:
    """One error of pydantic as a line in the style of `errors.invalid`."""
    own = (error.get("ctx") or {}).get("error")
    if isinstance(own, NoiseproofError):
        return str(own)
    if not error["loc"]:  # of the configuration as a whole
        return str(error["msg"]).removeprefix("Value error, ")
    path = ".".join(part for part in error["loc"] if isinstance(part, str))  # a list has one name
    name = quoted(path)
    if error["type"] == "extra_forbidden":
        key = str(error["loc"][-1])
        if key in RENAMED:
            now, *example = RENAMED[key].split(", ")
            return ", ".join([f"{name} is now `{now}`", *example])
        owner = _owner(model, error["loc"][:-1])
        return f"{name}: " + str(unknown_name("option", key, owner.model_fields))
    if error["type"] == "missing":
        return f"{name} is not given; needed: {_purpose(model, error['loc'])}"
    allowed = error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    if error["type"].endswith("_parsing"):
        allowed = allowed.partition(",")[0]
    value = str(error["input"]) if isinstance(error["input"], Path) else error["input"]
    return f"{name} is {shown(value)}; allowed: {allowed}"


def _purpose(model: type[BaseModel], path: tuple[int | str, ...]) -> str:
    """What an option is for: the first clause of its help."""
    help_text = _owner(model, path[:-1]).model_fields[str(path[-1])].description or "a value"
    clause = re.split(r"[;.](?:\s|$)", help_text, maxsplit=1)[0]
    return clause if clause[1:2].isupper() else clause[:1].lower() + clause[1:]


def _owner(model: type[BaseModel], path: tuple[int | str, ...]) -> type[BaseModel]:
    """The model whose field the last part of a path would be."""
    for part in path:
        field = model.model_fields.get(str(part))
        inside = [] if field is None else _models_in(field.annotation)
        model = inside[0] if inside else model  # an index or a key of a table stays where it is
    return model


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]


def describe_mistakes(mistakes: list[str], file: object) -> str:
    """Message with all mistakes, each once."""
    mistakes = list(dict.fromkeys(mistakes))
    where = f" (with {str(file)!r})" if file is not None else ""
    if len(mistakes) == 1:
        return mistakes[0] + (where and f"{where}.")
    return f"{len(mistakes)} mistakes in the configuration{where}:" + "".join(f"\n- {m}" for m in mistakes)
