"""`swap_captions`: image-text pairs whose captions describe other images, the truth kept beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from noiseproof.core.checks import check_share
from noiseproof.core.errors import BadData, invalid
from noiseproof.core.records import NoisyCaptions
from noiseproof.core.rng import stream

_TRIES = 32  # a random partner fits nearly always, so that looking at all rows is rare


def swap_captions(captions: Sequence[Any] | np.ndarray, *, rate: Any, seed: int) -> NoisyCaptions:
    """Give exactly round(rate * n) rows the caption of another row, and no row its own.

    Rows are chosen at random and their captions permuted among them without a fixed point, so the multiset of
    captions stays. Where captions repeat, a row gets a caption that reads differently whenever that is
    possible for all, which is unless one text fills more than half of the chosen rows; then as few rows as
    possible keep their text, and even those have it from another row.

    Args:
        captions: n texts.
        rate: share of rows to change, in [0, 1].
        seed: the same seed gives the same captions.

    Returns:
        Captions to train on, with the truth.

    Raises:
        InvalidArgument: `rate` is no share, or means one row only, which has no other to swap with; `seed` is
            negative.
        BadData: a caption is no text; its row is named.

    Source: Chen, Wang et al. 2024, arXiv:2309.17002, Section 2.1 and Appendix A.1 (captions of random pairs
    are swapped until the noise ratio is reached).
    Differs: exact count and seeded. Their released script draws rows with replacement, so that only a
    share of about 1 - exp(-r) is changed.
    """
    check_share(rate, "rate")
    if seed < 0:
        raise invalid("seed", seed, "an integer of at least 0")
    clean = _texts(captions)
    num_swapped = round(rate * len(clean))
    if num_swapped == 1:
        raise invalid(
            "rate", rate, f"a share of the {len(clean)} captions that is none, or two or more",
            "One caption alone has no other to change places with; ask for a higher rate.",
        )  # fmt: skip
    rng = stream(seed, "noise", "captions")
    rows = np.sort(rng.choice(len(clean), num_swapped, replace=False)) if num_swapped else np.empty(0, int)
    sources = np.arange(len(clean))
    sources[rows] = rows[_derangement(_codes(clean[rows]), rng)]
    swapped = np.zeros(len(clean), bool)
    swapped[rows] = True
    return NoisyCaptions(clean[sources], clean, swapped, sources, float(rate), seed)


def _texts(captions: Sequence[Any] | np.ndarray) -> np.ndarray:
    """An object array: fixed-width text would give every caption the length of the longest."""
    clean = np.empty(len(captions), object)
    for row, caption in enumerate(captions):
        if not isinstance(caption, str):
            raise BadData(
                f"The caption in row {row} is {caption!r:.40}, a {type(caption).__name__}; allowed: a text "
                "in every row. Next: leave such pairs out."
            )
        clean[row] = str(caption)
    return clean


def _codes(texts: np.ndarray) -> Int[np.ndarray, " m"]:
    """Equal numbers for equal texts."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(text, len(numbers)) for text in texts], np.int64)


def _derangement(codes: Int[np.ndarray, " m"], rng: np.random.Generator) -> Int[np.ndarray, " m"]:
    """Source of the text of each place: never itself, an equal text only where necessary.

    A random permutation is mended place by place. Let c be how often a text occurs. A place that got its own
    text can change with one that neither has nor got that text, and there are at least m - 2c + 1 of those.
    """
    m = len(codes)
    sources = rng.permutation(m)
    for place in np.flatnonzero(codes[sources] == codes).tolist():
        if codes[sources[place]] == codes[place]:  # still, after the places before it
            partner = _partner(place, codes, sources, rng)
            if partner is None:  # one text fills more than half: the rest has to take it from one another
                break
            sources[[place, partner]] = sources[[partner, place]]
    for place in np.flatnonzero(sources == np.arange(m)).tolist():
        if sources[place] == place:
            alike = np.flatnonzero(codes[sources] == codes[place])
            partner = rng.choice(alike[alike != place])
            sources[[place, partner]] = sources[[partner, place]]
    return sources


def _partner(
    place: int, codes: Int[np.ndarray, " m"], sources: Int[np.ndarray, " m"], rng: np.random.Generator
) -> int | None:
    """A place to change sources with after which both have a text that is not their own."""
    text = codes[place]

    def fits(others: np.ndarray) -> Bool[np.ndarray, " l"]:
        return (codes[others] != text) & (codes[sources[others]] != text)

    tried = rng.integers(0, len(codes), _TRIES)
    found = tried[fits(tried)]
    if len(found) == 0:
        found = np.flatnonzero(fits(np.arange(len(codes))))
        found = found if len(found) == 0 else rng.choice(found, 1)
    return int(found[0]) if len(found) else None
