"""YAML of any origin -> plain values, or one short error with the line; nodes, depth, numbers have limits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from noiseproof.core.limits import YAML_NODES, above, limit
from noiseproof.core.storage.regular_files import read_regular

MAX_DEPTH = 100
_MAX_INT = 2**63
_TAG = "tag:yaml.org,2002:"
_KINDS = {f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map", "merge")}


class BadYaml(ValueError):
    """Text that is no YAML, or more than a configuration should be; the message has no full stop."""


class _Loader(yaml.SafeLoader):
    """YAML 1.1 without dates, and with `1e-3` as a number; each key once."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002
        if node.tag not in _KINDS:
            raise BadYaml(f"{_place(node)}: the tag {node.tag[:60]!r} is not known here")
        try:
            value = super().construct_object(node, deep=deep)
        except (ValueError, OverflowError, TypeError, LookupError, AttributeError) as error:
            if isinstance(error, BadYaml):
                raise
            kind = node.tag.removeprefix(_TAG)
            raise BadYaml(f"{_place(node)}: {_shown(node)} is no value of the kind {kind!r}") from error
        if isinstance(value, int) and not -_MAX_INT <= value < _MAX_INT:
            raise BadYaml(f"{_place(node)}: the whole number {_shown(node)} has more than 64 bits")
        return value

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in seen:
                raise BadYaml(f"{_place(key)}: the key {_shown(key)} comes twice")
            seen.add((key.tag, str(key.value)))
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag != f"{_TAG}timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    f"{_TAG}float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def parse_yaml(text: str) -> Any:
    """The value of a YAML text; `None` if it is empty.

    Raises:
        BadYaml: it is no YAML, has more nodes than `limits.YAML_NODES` (what an alias stands for counts each
            time), is nested deeper than `MAX_DEPTH`, repeats a key, has a tag of its own, a whole number of
            more than 64 bits, or half a character.
    """
    try:
        _check_size(text)
        value = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise BadYaml(_described(error)) from error
    except UnicodeError as error:
        raise BadYaml("half a character (a lone surrogate) is in a text") from error
    return value


def read_yaml_file(path: Path) -> Any:
    """The value of a YAML file in UTF-8; see `parse_yaml`.

    Raises:
        BadYaml: it cannot be read, or is not such a file.
    """
    try:
        return parse_yaml(read_regular(path).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BadYaml(f"byte {error.start} is not UTF-8") from error
    except OSError as error:
        raise BadYaml(f"it cannot be read ({error.strerror or error})") from error


def _check_size(text: str) -> None:
    """Count nodes and levels without building any, since aliases make much of little."""
    most = limit(YAML_NODES)
    counts: dict[str, int] = {}  # anchor -> nodes it stands for
    open_nodes: list[tuple[str | None, int]] = []  # anchor, nodes before it
    total = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor is not None:
                counts[anchor] = total - before
            continue
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in counts:
                raise BadYaml(
                    f"{_line(event.start_mark)}: the alias *{str(event.anchor)[:40]} stands for itself"
                )
            total += counts[event.anchor]
        elif isinstance(event, yaml.NodeEvent):
            total += 1
            if isinstance(event, yaml.CollectionStartEvent):
                open_nodes.append((event.anchor, total - 1))
            elif event.anchor is not None:
                counts[event.anchor] = 1
            if isinstance(event, yaml.ScalarEvent):
                event.value.encode()
        if len(open_nodes) > MAX_DEPTH:
            raise BadYaml(f"{_line(event.start_mark)}: it is nested deeper than {MAX_DEPTH} levels")
        if total > most:
            raise BadYaml(f"{_line(event.start_mark)}: {above(f'{total} nodes', YAML_NODES, is_count=True)}")


def _described(error: yaml.YAMLError) -> str:
    """Line, column and problem in one line."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    text = problem or str(error).partition("\n")[0]
    return f"{_line(mark)}: {text[:200]}" if mark is not None else text[:200]


def _place(node: Any) -> str:
    return _line(node.start_mark)


def _line(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"


def _shown(node: Any) -> str:
    text = str(node.value) if isinstance(node, yaml.ScalarNode) else "what is here"
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
