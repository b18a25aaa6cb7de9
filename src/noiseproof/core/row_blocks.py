"""Rows in blocks of limited size, so that memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterator


def row_blocks(num_rows: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` rows, in order, over all rows."""
    for start in range(0, num_rows, size):
        yield slice(start, min(start + size, num_rows))
