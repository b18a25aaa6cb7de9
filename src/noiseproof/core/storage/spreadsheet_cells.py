"""Texts in CSV files that a spreadsheet would run: an apostrophe before them, and the way back.

A spreadsheet takes a cell that begins with one of a few signs for a formula, which can read other cells,
fetch an address and, after a click, start a program. Ids and class names come from data of other people.

Source: OWASP, "CSV Injection" (signs and remedy); an apostrophe before the sign makes it a text.
Differs: plain numbers such as `-1` stay, and texts that have the apostrophe already get another one, so that
`unescaped` gives back every text.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

_SIGNS = r"[=+\-@\t\r\n＝＋－＠]"
_FORMULA = rf"(?s)^'*{_SIGNS}."
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_ESCAPED = rf"(?s)^'('*{_SIGNS}.)"


def escaped(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet would run it."""
    is_formula = re.match(_FORMULA, text) and not re.fullmatch(_NUMBER[1:-1], text, re.ASCII)
    return f"'{text}" if is_formula else text


def unescaped(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """The texts that `escaped` was applied to."""
    return pc.replace_substring_regex(texts, _ESCAPED, r"\1")


def are_formulas(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whether a spreadsheet would run each of these texts."""
    begins = pc.match_substring_regex(texts, rf"(?s)^{_SIGNS}.")
    return pc.and_not(begins, pc.match_substring_regex(texts, _NUMBER))
