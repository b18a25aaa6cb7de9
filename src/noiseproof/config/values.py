"""From texts and YAML to values, and what is wrong with them in words; of any pydantic model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from noiseproof.core.errors import InvalidArgument, MissingFile
from noiseproof.core.registry import unknown_name

M = TypeVar("M", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads `1e-3` as a word; a learning rate is a number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def _parse(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)


def read_yaml(path: Path, *, argument: str) -> dict[Any, Any]:
    """The `key: value` lines of a file.

    Args:
        path: of the file.
        argument: who named it, for messages.

    Raises:
        MissingFile, InvalidArgument: no file, or not such lines.
    """
    if not path.is_file():
        raise MissingFile(f"`{argument}` is {str(path)!r}, which is no file. Next: check the path.")
    try:
        values = _parse(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
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
            mistakes.append(f"`--set` is {override!r}; allowed: key=value or key.subkey=value")
            continue
        try:
            value = _parse(text)
        except yaml.YAMLError:
            mistakes.append(f"`--set {key}` has the value {text!r}, which is not YAML; quote it")
            continue
        if len(path) == 1 and path[0] in given and str(given[path[0]]) != str(value):
            option = "--" + path[0].replace("_", "-")
            mistakes.append(f"`{path[0]}` is {given[path[0]]!r} by {option} and {value!r} by --set; give one")
            continue
        settings[path] = value
    return settings


def parse_pairs(texts: Iterable[str], option: str, mistakes: list[str]) -> dict[str, Any]:
    """`name=value` -> {name: value}."""
    pairs: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            mistakes.append(f"`{option}` is {text!r}; allowed: name=value")
            continue
        try:
            pairs[name.strip()] = _parse(value)
        except yaml.YAMLError:
            mistakes.append(f"`{option} {name}` has the value {value!r}, which is not YAML; quote it")
    return pairs


def checked(model: type[M], values: dict[Any, Any], mistakes: list[str], *, file: object) -> M:
    """The values as the model wants them.

    Args:
        model: what they are values of.
        values: by name.
        mistakes: those found so far, which are told with the others.
        file: where values came from, for the message; `None` for nowhere.

    Raises:
        InvalidArgument: with one line per mistake, all of them at once.
    """
    try:
        found = model(**values)
    except ValidationError as error:
        mistakes += [explained(one, model) for one in error.errors()]
    except TypeError:  # a key of the file that is not a word
        mistakes += [f"`{key}` is not a name of an option" for key in values if not isinstance(key, str)]
    if mistakes:
        raise InvalidArgument(all_of(mistakes, file))
    return found


def explained(error: Any, model: type[BaseModel]) -> str:
    """One mistake that pydantic found, in one line and in the words of `errors.invalid`."""
    if not error["loc"]:  # of the configuration as a whole
        return str(error["msg"])
    path = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        owner = _owner(model, error["loc"][:-1])
        return f"`{path}`: " + str(unknown_name("option", str(error["loc"][-1]), owner.model_fields))
    if error["type"] == "missing":
        return f"`{path}` is not given and has no default"
    allowed = error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    value = str(error["input"]) if isinstance(error["input"], Path) else error["input"]
    return f"`{path}` is {value!r}; allowed: {allowed}"


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
    return [found for inner in get_args(annotation) for found in _models_in(inner)]


def all_of(mistakes: list[str], file: object) -> str:
    """All mistakes as one message, each once."""
    mistakes = list(dict.fromkeys(mistakes))
    where = f" (with {str(file)!r})" if file is not None else ""
    if len(mistakes) == 1:
        return mistakes[0] + (where and f"{where}.")
    return f"{len(mistakes)} mistakes in the configuration{where}:" + "".join(f"\n- {m}" for m in mistakes)
