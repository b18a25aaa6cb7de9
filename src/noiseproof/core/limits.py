"""Limits on what a file may ask of memory and time; each is raised with a variable of the environment."""

from __future__ import annotations

import os

from noiseproof.core.errors import InvalidArgument

YAML_NODES = "NOISEPROOF_MAX_YAML_NODES"  # values, keys, lists and tables of a file; aliases count each time
IMAGE_PIXELS = "NOISEPROOF_MAX_IMAGE_PIXELS"  # width x height
EXAMPLE_BYTES = "NOISEPROOF_MAX_EXAMPLE_BYTES"  # of an image file, a file in a tar shard, a configuration
UNPACKED_BYTES = "NOISEPROOF_MAX_UNPACKED_BYTES"  # of compressed data that shrank by more than `MAX_RATIO`
DEFAULTS = {
    YAML_NODES: 100_000,
    IMAGE_PIXELS: 89_478_485,  # Pillow's own, from which on it warns
    EXAMPLE_BYTES: 256 << 20,
    UNPACKED_BYTES: 1 << 30,
}
MAX_RATIO = 100  # features and photos compress to half; a thousand times is deflate's most


def limit(variable: str) -> int:
    """The limit of this name.

    Raises:
        InvalidArgument: the variable is set to something else than a whole number of at least 1.
    """
    text = os.environ.get(variable)
    if not text:
        return DEFAULTS[variable]
    if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text) > 0):
        raise InvalidArgument(
            f"The environment variable {variable} is {text[:40]!r}; allowed: a whole number of at least 1. "
            f"Next: leave it out for {DEFAULTS[variable]}."
        )
    return int(text)


def is_bomb(unpacked_bytes: int, packed_bytes: int) -> bool:
    """Whether compressed data would grow beyond the limit, and by more than real data does."""
    return unpacked_bytes > max(limit(UNPACKED_BYTES), MAX_RATIO * packed_bytes)


def above(size: str, variable: str, *, is_count: bool = False) -> str:
    """The one wording for something that is larger than its limit, with the way to raise it.

    Args:
        size: with its unit, such as "169000000 pixels".
        variable: that sets the limit.
        is_count: of things rather than a size.
    """
    verb = "more" if is_count else "larger"
    return f"{size} are {verb} than the limit of {limit(variable)}; to raise it, set {variable}"
