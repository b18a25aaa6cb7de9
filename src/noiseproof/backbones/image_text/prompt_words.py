"""Class names in words, the templates they are put into, and the direction that stands for a class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from noiseproof.backbones.images.timm_models import import_timm
from noiseproof.core.errors import BadData

TEMPLATES = (
    "a photo of a {}.",
    "a small picture of a {}.",
    "a {} seen from nearby.",
    "a {} seen from far away.",
    "this image shows a {}.",
    "one {} and its surroundings.",
    "a blurry photo of a {}.",
    "a snapshot of the {}.",
)


def caption(name: str, template: str) -> str:
    """The template filled in with a class name in plain words."""
    return template.format(readable_name(name))


@cache
def readable_name(name: str) -> str:
    """A class name in words: underscores of folder names become spaces, WordNet ids what they stand for.

    Of ImageNet's 1,000 classes two are a crane and two a maillot, so 998 names are left.

    Raises:
        BadData: a WordNet id that timm does not know.
        MissingExtra: timm, which has the list, is not installed.
    """
    if not re.fullmatch(r"n\d{8}", name):
        return name.replace("_", " ")
    try:
        return _imagenet().label_name_to_description(name).split(",")[0]
    except KeyError as error:
        raise BadData(
            f"The class {name!r} is no WordNet id of ImageNet's; allowed: names that describe what is in the "
            "images. Next: rename the class."
        ) from error


def imagenet_words() -> tuple[str, ...]:
    """The names of ImageNet's 1,000 classes in words, as classifiers have them; two occur twice."""
    return tuple(map(readable_name, _imagenet().label_names()))


@cache
def _imagenet() -> Any:
    """timm's list of ImageNet's classes, which takes 20 ms to read."""
    import_timm("Names of ImageNet's classes")
    from timm.data import ImageNetInfo

    return ImageNetInfo()


def class_words(class_names: Sequence[str]) -> tuple[str, ...]:
    """Names of all classes in plain words, each different.

    Raises:
        BadData: no names, a name without a word, or two names with the same words.
    """
    words = tuple(readable_name(str(name)).strip() for name in class_names)
    if not words:
        raise BadData(
            "`class_names` is empty; allowed: a name for each class, which a text tower can read. Next: "
            "name the classes."
        )
    first: dict[str, int] = {}
    for place, word in enumerate(words):
        if not re.search(r"\w", word):
            raise BadData(
                f"`class_names` has {class_names[place]!r} for class {place}; allowed: a name that says what "
                "the class is. Next: name it."
            )
        before = first.setdefault(word.casefold(), place)
        if before != place:
            raise BadData(
                f"`class_names` has {class_names[before]!r} for class {before} and {class_names[place]!r} "
                f"for class {place}, which read the same; allowed: names that differ. Next: rename one."
            )
    return words


def mean_direction(unit_rows: Float[Tensor, "*k t e"]) -> Float[Tensor, "*k e"]:
    """The unit vector of a class from those of its t texts.

    Source: Radford et al. 2021, arXiv:2103.00020, Section 3.1.4 (ensembling over the embedding space).
    """
    return nn.functional.normalize(unit_rows.mean(dim=-2), dim=-1)


def notes_on_names(class_names: Sequence[str]) -> tuple[str, ...]:
    """Notes for readers about class names that a text tower encoded."""
    if not all(re.fullmatch(r"[-+]?\d+([.,]\d+)?", name.strip()) for name in class_names):
        return ()
    return (
        f"The class names are numbers ({', '.join(class_names[:3])}, ...), and the text tower reads them as "
        "such. Next: if they stand for something, a label column with words.",
    )
