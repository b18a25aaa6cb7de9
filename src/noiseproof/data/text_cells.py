"""Cells that are no texts to encode: blanks, numbers, ids and names of files."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from noiseproof.core.arrays import is_number
from noiseproof.core.class_names import MISSING_WORDS

_FEWEST = 10  # cells that tell a column of ids
_FILE = re.compile(r"\S+\.(txt|text|md|html?|xml|json|pdf|docx?)", re.IGNORECASE)
# Digits stand as one 0. Signs before or after a number, as in $5, 4/5 or 3*, are text.
_ID = re.compile(r"(?=.*[a-z])[a-z0]+([_.:/#-][a-z0]+)*|0([-/.:]0){2,}", re.IGNORECASE | re.ASCII)
_UUID_OR_HASH = re.compile(r"(?=.*\d)[0-9a-f-]{16,}", re.IGNORECASE)
_INVISIBLE = ("Cc", "Cf")  # control and format characters, such as a zero-width space


def is_blank(text: str) -> bool:
    """Whether nothing of a text can be seen."""
    return all(char.isspace() or unicodedata.category(char) in _INVISIBLE for char in text)


def is_missing_word(text: str) -> bool:
    """Whether a text is a word for an empty cell, such as "nan", or blank."""
    return text.strip().lower() in MISSING_WORDS or is_blank(text)


def what_instead_of_texts(cells: Sequence[str]) -> str | None:
    """Noun for what a column holds where texts are expected; `None` if these may be texts.

    Args:
        cells: of the column; blank ones and words for empty cells tell nothing.
    """
    some = [cell.strip() for cell in cells if not is_missing_word(cell)]
    if not some:
        return None
    if all(map(is_number, some)):
        return "numbers"
    if len(some) > 1 and all(map(_FILE.fullmatch, some)):
        return "names of files"
    return "ids" if len(set(some)) == len(some) >= _FEWEST and _are_ids(some) else None


def _are_ids(cells: Sequence[str]) -> bool:
    """Whether single words differ by their digits only, or are UUIDs or hashes of one length."""
    if any(len(cell.split()) > 1 for cell in cells):
        return False
    is_hash = all(map(_UUID_OR_HASH.fullmatch, cells)) and len(set(map(len, cells))) == 1
    shapes = {re.sub(r"[0-9]+", "0", cell) for cell in cells}
    return is_hash or (len(shapes) == 1 and _ID.fullmatch(shapes.pop()) is not None)
