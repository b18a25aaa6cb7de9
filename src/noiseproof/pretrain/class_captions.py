"""Captions for images that have only a class: templates filled with its name, and prompts for zero-shot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from noiseproof.backbones.image_text.prompt_words import TEMPLATES, caption
from noiseproof.core.rng import stream


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


def classifier_captions(
    probs: Float[np.ndarray, "n c"], words: Sequence[str], *, num_draws: int, seed: int
) -> np.ndarray:
    """Captions for images without labels, from the predictions of a classifier of other classes.

    Args:
        probs: of the classifier.
        words: the names of its c classes.
        num_draws: r.
        seed: of classes and templates.

    Returns:
        (n, r) texts: classes drawn from the probabilities, each in a template drawn at random.
    """
    rng = stream(seed, "captions", "classifier")
    upto = probs.cumsum(axis=1)
    # Rounding may leave the last sum below 1.
    draws = rng.random((len(probs), num_draws)) * upto[:, -1:]
    classes = np.stack(
        [np.searchsorted(row, values, side="right") for row, values in zip(upto, draws, strict=True)]
    )
    texts = np.array([[caption(word, template) for template in TEMPLATES] for word in words], object)
    return texts[np.minimum(classes, len(words) - 1), rng.integers(len(TEMPLATES), size=classes.shape)]


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
        In [0, 1]; `None` if a caption is not made from a class name.
    """
    classes = {
        caption(name, template): number for number, name in enumerate(class_names) for template in TEMPLATES
    }
    if any(text not in classes for text in given):
        return None
    return float(np.mean([classes[text] != label for text, label in zip(given, labels, strict=True)]))
