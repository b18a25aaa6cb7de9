"""Numbers with their nouns, and lists that do not grow, for messages."""

from __future__ import annotations

from collections.abc import Iterable


def counted(num: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun, such as "1 label" and "1,200 labels".

    Args:
        num: how many.
        noun: of one; a plural that adds no s, in its last word, is given by itself.
        plural: of several.
    """
    return f"{num:,} {noun if num == 1 else plural or noun + 's'}"


def some(names: Iterable[str], most: int = 12, *, between: str = ", ") -> str:
    """Names with commas between them; those beyond `most` are counted."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return between.join(names[:most]) + more
