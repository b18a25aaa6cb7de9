"""Names of classes: one text for each label, hints at probable mistakes, and columns found by name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from noiseproof.core.errors import BadData, quoted
from noiseproof.core.plurals import some

# What programs write for an empty cell.
MISSING_WORDS = {"", "nan", "none", "null", "na", "n/a", "<na>", "nat", "?"}
_NUM_NAMED = 5


def label_text(value: Any) -> str:
    """The text of a label, the same from every file format: True is "True", and 1.0 is "1"."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def in_order(names: Iterable[str]) -> list[str]:
    """Class names in their order: as numbers where all are numbers, else as text."""
    texts = list(names)
    are_numbers = all(map(_is_number, texts))
    return sorted(texts, key=lambda text: (float(text), text)) if are_numbers else sorted(texts)


def name_hints(names: Sequence[Any]) -> list[str]:
    """Sentences on class names that are probably mistakes: nothing is changed because of them."""
    texts = [str(name) for name in names]
    hints = []
    for one, other in _look_alikes(texts)[:_NUM_NAMED]:
        hints.append(
            f"The classes {one!r} and {other!r} differ only in blanks, capitals or the form of a letter, and "
            "count as two. Next: if they are one class, spell them alike."
        )
    missing = [text for text in texts if text.strip().lower() in MISSING_WORDS]
    if missing:
        hints.append(
            f"The class {missing[0]!r} reads like a missing label, and counts as a class. Next: leave such "
            "cells empty."
        )
    lists = _label_lists(texts)
    if lists:
        hints.append(
            f"The class {lists[0]!r} reads like a list of labels ({len(lists)} such classes). Each list "
            "counts as one class: data with several labels per example (multi-label) is not supported."
        )
    return hints


def _look_alikes(texts: Sequence[str]) -> list[tuple[str, str]]:
    alike = sorted((plain_name(text).casefold(), text) for text in texts)
    return [(one, other) for (key, one), (same, other) in pairwise(alike) if key == same]


def _label_lists(texts: Sequence[str]) -> list[str]:
    """Names with `;` or `|` between words, or with commas between words that are classes by themselves."""
    single = {plain_name(text) for text in texts}

    def is_list(text: str) -> bool:
        parts = [part.strip() for part in re.split(r"[;|]", text)]
        if len(parts) > 1 and all(parts):
            return True
        by_comma = [part.strip(" '\"[]()") for part in text.split(",")]
        return len(by_comma) > 1 and all(part in single for part in by_comma)

    return [text for text in texts if is_list(text)]


def columns_of_classes(columns: Sequence[Any], classes: Sequence[Any], argument: str) -> list[int] | None:
    """The column of each class, found by its name.

    Names are compared as texts, then without blanks around them and with one form of each letter and number,
    then without capitals, then without what all columns have before and after the class, such as `prob_`.
    Columns may be called by class ids. Of several levels of names (a MultiIndex) one has to fit.

    Args:
        columns: names of the columns, of any type.
        classes: labels or names of the k classes, in order.

    Returns:
        Positions of the k columns; `None` for columns that are only numbered 0, 1, ..., which are no names.

    Raises:
        BadData: the names are not those of the classes.
    """
    wanted = [label_text(label) for label in classes]
    ids = [str(number) for number in range(len(wanted))]
    for names in _levels(columns):
        for known in (wanted, ids):
            for places in _matches(names, known):
                if places is not None and (known is wanted or names != ids):
                    return places
        if names == ids:
            return None
    raise _other_names(next(_levels(columns)), wanted, argument)


def _matches(names: list[str], wanted: list[str]) -> Iterator[list[int] | None]:
    simplifications: tuple[Callable[[str], str], ...] = (
        str,
        plain_name,
        lambda name: plain_name(name).casefold(),
    )
    for simplify in simplifications:
        yield _places([simplify(name) for name in names], [simplify(name) for name in wanted])
    folded, classes = ([plain_name(name).casefold() for name in each] for each in (names, wanted))
    for before, after in _affixes(folded, classes):
        yield _places(folded, [f"{before}{name}{after}" for name in classes])


def _places(names: list[str], wanted: list[str]) -> list[int] | None:
    place = {name: number for number, name in enumerate(names)}
    is_one_to_one = len(place) == len(names) == len(wanted) and place.keys() == set(wanted)
    return [place[name] for name in wanted] if is_one_to_one else None


def _affixes(names: list[str], wanted: list[str]) -> Iterator[tuple[str, str]]:
    """What may stand around the class in the first column."""
    for name in wanted if names else ():
        before, found, after = names[0].rpartition(name)
        if found and name:
            yield before, after


def _levels(columns: Sequence[Any]) -> Iterator[list[str]]:
    """The names of the columns; of tuples (a MultiIndex) every level, the last first."""
    if len(columns) and all(isinstance(each, tuple) for each in columns):
        for level in reversed(range(len(columns[0]))):
            yield [label_text(each[level]) for each in columns]
    else:
        yield [label_text(each) for each in columns]


def _other_names(names: list[str], wanted: list[str], argument: str) -> BadData:
    simple, classes = (
        [plain_name(name).casefold() for name in names],
        [plain_name(one).casefold() for one in wanted],
    )
    absent = [name for name, key in zip(wanted, classes, strict=True) if key not in simple]
    strange = [name for name, key in zip(names, simple, strict=True) if key not in classes]
    problem = (
        f"has no column for the class {absent[0]!r} ({len(absent)} such)"
        if absent
        else f"has a column {strange[0]!r} that is no class ({len(strange)} such)"
        if strange
        else "has a class in more than one column"
    )
    return BadData(
        f"{quoted(argument)} {problem}; allowed: a column for each of the classes {some(wanted)}, in any "
        f"order, or no names at all. Its columns: {some(names)}. Next: name the columns like the classes."
    )


def plain_name(text: str) -> str:
    """A name without blanks around it, in composed letters (NFC), and a whole number without its decimals."""
    text = unicodedata.normalize("NFC", text).strip()
    return re.sub(r"^(-?\d+)\.0+$", r"\1", text)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?", text) is not None
