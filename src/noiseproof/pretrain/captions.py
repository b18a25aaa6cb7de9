"""Captions for images that have only a class: templates filled with its name, and prompts for zero-shot."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import numpy as np
from jaxtyping import Int

from noiseproof.backbones.image import import_timm
from noiseproof.errors import BadData
from noiseproof.rng import stream

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
    """The template with a class name in it, as people say it."""
    return template.format(spoken(name))


@cache
def spoken(name: str) -> str:
    """A class name in words: underscores of folder names become spaces, WordNet ids what they stand for.

    Of ImageNet's 1,000 classes two are a crane and two a maillot, so 998 names are left.

    Raises:
        BadData: a WordNet id that timm does not know.
        MissingExtra: timm, which has the list, is not installed.
    """
    if not re.fullmatch(r"n\d{8}", name):
        return name.replace("_", " ")
    import_timm("Names of ImageNet's classes")
    from timm.data import ImageNetInfo

    try:
        return ImageNetInfo().label_name_to_description(name).split(",")[0]
    except KeyError as error:
        raise BadData(
            f"The class {name!r} is no WordNet id of ImageNet's; allowed: names that say what is in the "
            "images. Next: rename the class."
        ) from error


def class_captions(labels: Int[np.ndarray, " n"], class_names: Sequence[str], *, seed: int) -> np.ndarray:
    """A caption per example: the name of its class in a template drawn at random.

    Args:
        labels: class ids.
        class_names: k names.
        seed: of the templates.
    """
    chosen = stream(seed, "captions").integers(len(TEMPLATES), size=len(labels))
    texts = np.array([[caption(name, template) for template in TEMPLATES] for name in class_names], object)
    return texts[labels, chosen]


def wrong_class_rate(
    given: Sequence[str] | np.ndarray, labels: Int[np.ndarray, " n"], class_names: Sequence[str]
) -> float | None:
    """Share of captions made from class names that name another class than that of their image.

    Less than the share of swapped captions, since a caption may come from an image of the same class.

    Args:
        given: n captions.
        labels: class ids.
        class_names: k names.

    Returns:
        In [0, 1]; `None` where a caption is of another making.
    """
    classes = {
        caption(name, template): number for number, name in enumerate(class_names) for template in TEMPLATES
    }
    if any(text not in classes for text in given):
        return None
    return float(np.mean([classes[text] != label for text, label in zip(given, labels, strict=True)]))
