"""YAML as users write it: whole files, and single values of the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from noiseproof.errors import InvalidArgument, MissingFile


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads `1e-3` as a word; a learning rate is a number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def parse(text: str) -> Any:
    """One YAML value."""
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
        values = parse(path.read_text(encoding="utf-8"))
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


def name_value_pairs(texts: Iterable[str], option: str, mistakes: list[str]) -> dict[str, Any]:
    """`name=value` -> {name: value}, with YAML values.

    Args:
        texts: as typed.
        option: of the command line, for messages.
        mistakes: what is wrong joins them.
    """
    pairs: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            mistakes.append(f"`{option}` is {text!r}; allowed: name=value")
            continue
        try:
            pairs[name.strip()] = parse(value)
        except yaml.YAMLError:
            mistakes.append(f"`{option} {name}` has the value {value!r}, which is not YAML; quote it")
    return pairs
