"""Cells that are no texts to encode: blanks, numbers, ids and names of files."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from noiseproof.core.arrays import is_number

_FEWEST = 10  # cells that tell a column of ids
_FILE = re.compile(r"\S+\.(txt|text|md|html?|xml|json|pdf|docx?)", re.IGNORECASE)
_UUID_OR_HASH = re.compile(r"(?=.*\d)[0-9a-f-]{16,}", re.IGNORECASE)
_INVISIBLE = ("Cc", "Cf")  # control and format characters, such as a zero-width space


def is_blank(text: str) -> bool:
    """Whether nothing of a text can be seen."""
    return all(char.isspace() or unicodedata.category(char) in _INVISIBLE for char in text)


def what_instead_of_texts(cells: Sequence[str]) -> str | None:
    """Noun for what a column holds where texts are expected; `None` if these may be texts.

    Args:
        cells: of the column; blank ones tell nothing.
    """
    some = [cell.strip() for cell in cells if not is_blank(cell)]
    if not some:
        return None
    if all(map(is_number, some)):
        return "numbers"
    if all(map(_FILE.fullmatch, some)):
        return "names of files"
    return "ids" if len(set(some)) == len(some) >= _FEWEST and _are_ids(some) else None


def _are_ids(cells: Sequence[str]) -> bool:
    """Whether single words differ by their digits only, or are UUIDs or hashes of one length."""
    if any(len(cell.split()) > 1 for cell in cells):
        return False
    is_hash = all(map(_UUID_OR_HASH.fullmatch, cells)) and len(set(map(len, cells))) == 1
    return is_hash or len({re.sub(r"\d+", "0", cell) for cell in cells}) == 1
