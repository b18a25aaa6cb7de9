"""Damage to files and texts: bits, bytes, words, JSON values, arrays. The same seed, the same damage."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

# Words that once ended in a traceback or in a hang, and their kin.
WORDS = (
    "2024-02-30", "0x_", '!!int "x"', "9" * 5000, "0x" + "f" * 5000, "[" * 3000, "{a: " * 300, "&a [*a]",
    "null", "~", "1e999", "-1e999", ".nan", ".inf", "NaN", "Infinity", "-1", "0", "1", "2",
    "9223372036854775808",
    "1e-3", "true", "yes", '"\\ud800"', "''", '""', "[]", "{}", "*b", "!!python/object:os.system x",
    "!!binary x",
    "!!set {a}", "? [a, b]", "- a", "1:2:3", "12:30:45", "0o9", "0b", "1_000", "a" * 3000, "\t", "\x00",
    "\x85",
    "é", "\u202e", "=1+1", "<<", "@", "`", "%", "#", ": ", "|", ">", "none", "auto", "symmetric:0.2",
    "cat: cat",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 2**31, 2**63, -(2**63) - 1, 10**30, 0.5, -0.5, 1e308, "", "a", "é",
    "a" * 3000, "\ud800", "../x", "0", "nan", [], {}, [[]], [1, "a", None], [1.5, 2.5], {"a": 1},
    {"schema": 9},
    [[1.0]], [None], "2024-02-30",
)  # fmt: skip


def damage_bytes(content: bytes, rng: random.Random) -> bytes:
    """One to three small changes anywhere; often in the first bytes, where headers are."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = _changed(data, rng)
    return bytes(data)


def _changed(data: bytearray, rng: random.Random) -> bytearray:
    end = len(data) if rng.random() < 0.6 else min(len(data), 256)
    at = rng.randrange(end) if end else 0
    size = rng.choice((1, 2, 4, 8, 16, 100))
    kind = rng.randrange(9)
    if kind == 0 and data:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 1 and data:
        data[at] = rng.choice((0, 1, 0x20, 0x7F, 0x80, 0xFF))
    elif kind == 2:
        del data[at : at + size]
    elif kind == 3:
        del data[at:]
    elif kind == 4:
        data[at:at] = rng.randbytes(size)
    elif kind == 5:
        data[at:at] = data[at : at + size]
    elif kind == 6:
        data[at : at + size] = bytes(len(data[at : at + size]))
    elif kind == 7:
        data[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"))
    elif len(data) > size:
        other = rng.randrange(len(data) - size)
        data[at : at + size] = data[other : other + size]
    return data


def damage_text(content: bytes, rng: random.Random) -> bytes:
    """A word, a letter or a line is changed; sometimes a byte."""
    if rng.random() < 0.15:
        return damage_bytes(content, rng)
    text = content.decode()
    for _ in range(rng.choice((1, 1, 2))):
        text = rng.choice((_another_word, _another_word, _another_letter, _another_line))(text, rng)
    return text.encode("utf-8", "surrogatepass")


def _another_word(text: str, rng: random.Random) -> str:
    words = list(re.finditer(r"[\w.+-]+", text))
    if not words:
        return rng.choice(WORDS)
    word = rng.choice(words)
    return text[: word.start()] + rng.choice(WORDS) + text[word.end() :]


def _another_letter(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    new = rng.choice(
        ("", "", "x", "0", "9", "-", '"', "'", ":", ",", "[", "]", "{", "}", "\n", " ", "&", "*", "!", "é")
    )
    return text[:at] + new + text[at + rng.randrange(2) :]


def _another_line(text: str, rng: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    if not lines:
        return text
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(4)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(at, lines[other])
    elif kind == 2:
        lines[at], lines[other] = lines[other], lines[at]
    else:
        lines[at] = "  " + lines[at]
    return "".join(lines)


def damage_json(content: bytes, rng: random.Random) -> bytes:
    """A value of a document is changed, left out or added; sometimes its text."""
    if rng.random() < 0.25:
        return damage_text(content, rng)
    value = json.loads(content)
    places = [place for place in _places(value) if place]
    if not places:
        return damage_text(content, rng)
    *path, last = rng.choice(places)
    owner = value
    for step in path:
        owner = owner[step]
    kind = rng.randrange(4)
    if kind == 0:
        del owner[last]
    elif kind == 1 and isinstance(owner, dict):
        owner[rng.choice(("new", "", "schema", "a" * 300))] = rng.choice(_VALUES)
    else:
        owner[last] = rng.choice(_VALUES)
    return json.dumps(value).encode()


def damage_lines(content: bytes, rng: random.Random) -> bytes:
    """A line of JSON lines is damaged as a document, or the whole as a text."""
    lines = content.splitlines(keepends=True)
    if rng.random() < 0.3 or not lines:
        return damage_text(content, rng)
    at = rng.randrange(len(lines))
    lines[at] = damage_json(lines[at], rng) + b"\n"
    return b"".join(lines)


def _places(value: Any) -> list[list[Any]]:
    found: list[list[Any]] = [[]]
    if isinstance(value, dict):
        found += [[key, *rest] for key, inner in value.items() for rest in _places(inner)]
    elif isinstance(value, list):
        found += [[at, *rest] for at, inner in enumerate(value[:20]) for rest in _places(inner)]
    return found


Damage = Callable[[bytes, random.Random], bytes]
