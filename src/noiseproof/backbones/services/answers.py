"""The answer of an embeddings request: every vector checked, in the order of the texts."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from noiseproof.core.errors import NoiseproofError
from noiseproof.core.plurals import some
from noiseproof.core.storage.json_text import BadJson, parse_json


class UnusableAnswer(NoiseproofError):
    """A complete answer that is not what the protocol promises; asking again would not help."""


class BrokenAnswer(NoiseproofError):
    """An answer that was cut short or garbled on its way; worth asking again."""


def read_answer(content: bytes, num_texts: int) -> Float[np.ndarray, "b d"]:
    """Embeddings of an answer, float32.

    Vectors are put into the order of the texts by their `index`. They are lists of numbers, or base64 of
    little-endian float32.

    Raises:
        BrokenAnswer: it is no JSON.
        UnusableAnswer: vectors are missing, doubled, of different lengths, empty or not finite.
    """
    try:
        answer = parse_json(content, allows_nan=True)
    except BadJson as error:
        raise BrokenAnswer(f"the answer is no JSON ({len(content)} bytes)") from error
    entries = answer.get("data") if isinstance(answer, Mapping) else None
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise UnusableAnswer("the answer has no list `data` of embeddings; is the URL that of an API?")
    if len(entries) != num_texts:
        raise UnusableAnswer(f"the answer has {len(entries)} embeddings for {num_texts} texts")
    indices = [entry.get("index") for entry in entries]
    is_whole = all(type(index) is int for index in indices)  # and no boolean
    if not is_whole or sorted(indices) != list(range(num_texts)):
        raise UnusableAnswer(
            f"the answer numbers its embeddings {some(map(repr, indices), 4)}, not 0 to {num_texts - 1}"
        )
    rows: list[Any] = [None] * num_texts
    for index, entry in zip(indices, entries, strict=True):
        rows[index] = _vector(entry.get("embedding"))
    widths = sorted({len(row) for row in rows})
    if len(widths) > 1 or widths[0] == 0:
        raise UnusableAnswer(
            f"the answer has embeddings of {some(map(repr, widths), 4)} numbers; allowed: one length from 1"
        )
    features = np.stack(rows)
    if not np.isfinite(features).all():
        raise UnusableAnswer("the answer has NaN or infinity in an embedding")
    return features


def _vector(value: Any) -> Float[np.ndarray, " d"]:
    try:
        if isinstance(value, str):
            return np.frombuffer(base64.b64decode(value, validate=True), "<f4").astype(np.float32)
        if isinstance(value, list) and all(type(number) in (int, float) for number in value):
            with np.errstate(over="ignore"):  # infinity is refused later
                return np.array(value, np.float64).astype(np.float32)
    except (ValueError, OverflowError):
        pass
    raise UnusableAnswer("an embedding is neither a list of numbers nor base64 of float32")
