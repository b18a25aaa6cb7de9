"""JSON of any origin -> plain values, or one short error: its depth and its numbers have limits."""

from __future__ import annotations

import json
from typing import Any

MAX_DEPTH = 100
_MAX_INT = 2**63


class BadJson(ValueError):
    """Text that is no JSON, or more than JSON should be; the message is a clause without a full stop."""


def parse_json(content: bytes | str, *, allows_nan: bool = False) -> Any:
    """The value of a JSON text.

    Args:
        content: UTF-8 bytes or text.
        allows_nan: NaN and Infinity, which many programs write, are read as numbers.

    Raises:
        BadJson: it is no JSON, not UTF-8, nested deeper than `MAX_DEPTH`, has a whole number of more than 64
            bits, or half a character (a lone surrogate).
    """
    try:
        text = content if isinstance(content, str) else content.decode("utf-8-sig")
        check_unicode(text)
        constant = float if allows_nan else _refuse_constant
        value = json.loads(text, parse_int=_whole_number, parse_constant=constant)
    except BadJson:
        raise
    except UnicodeDecodeError as error:
        raise BadJson(f"byte {error.start} is not UTF-8") from error
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:
        raise BadJson(f"it is no JSON: {error}") from error
    if "\\u" in text or text.count("[") + text.count("{") > MAX_DEPTH:
        _check_contents(value)
    return value


def check_unicode(text: str) -> None:
    """Raise `BadJson` for half a character, which no file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadJson(f"half a character (a lone surrogate, {text[error.start]!a}) is in a text") from error


def _whole_number(digits: str) -> int:
    # 20 characters have room for the sign and 19 digits of 2**63.
    value = int(digits) if len(digits) <= 20 else _MAX_INT
    if not -_MAX_INT <= value < _MAX_INT:
        raise BadJson(f"the whole number {digits[:24]}{'...' * (len(digits) > 24)} has more than 64 bits")
    return value


def _refuse_constant(name: str) -> float:
    raise BadJson(f"{name} is no number of JSON")


def _check_contents(value: Any) -> None:
    """Raise `BadJson` for half a character in a text, or too many levels."""
    level: list[Any] = [[value]]
    for _ in range(MAX_DEPTH + 2):
        inside = [
            one for each in level for one in ([*each, *each.values()] if isinstance(each, dict) else each)
        ]
        for one in inside:
            if isinstance(one, str):
                check_unicode(one)
        level = [one for one in inside if isinstance(one, dict | list)]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> BadJson:
    return BadJson(f"it is nested deeper than {MAX_DEPTH} levels")
