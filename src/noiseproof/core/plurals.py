"""Numbers with their nouns, for messages."""

from __future__ import annotations


def counted(num: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun, such as "1 label" and "1,200 labels".

    Args:
        num: how many.
        noun: of one; a plural that adds no s, in its last word, is given by itself.
        plural: of several.
    """
    return f"{num:,} {noun if num == 1 else plural or noun + 's'}"
