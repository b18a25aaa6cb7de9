"""What a page shows of each example: a picture as a data address, a text, or nothing."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from noiseproof.core.errors import NoiseproofError
from noiseproof.core.progress import progress
from noiseproof.core.records import Dataset
from noiseproof.core.threads import num_cores
from noiseproof.data.examples import shown_text

PART_ROWS = 200  # examples of a part
_LARGE_PX, _SMALL_PX = 320, 112
_LOSSLESS_PX = 96  # pictures up to this side stay as they are
_MOST_CHARACTERS = 2000
_QUALITY = 80


def contents_of(
    dataset: Dataset, rows: Int[np.ndarray, " m"], is_large: Bool[np.ndarray, " m"]
) -> Iterator[list[str | None]]:
    """The contents of these examples, part by part; `None` for what cannot be shown."""
    if dataset.kind == "features":
        return
    with (
        progress("Review page", total=len(rows), unit="example") as bar,
        ThreadPoolExecutor(num_cores()) as pool,
    ):
        for start in range(0, len(rows), PART_ROWS):
            part = slice(start, start + PART_ROWS)
            sides = np.where(is_large[part], _LARGE_PX, _SMALL_PX)
            yield list(
                pool.map(lambda row, side: _shown(dataset, row, side), rows[part].tolist(), sides.tolist())
            )
            bar.update(len(rows[part]))


def _shown(dataset: Dataset, row: int, side_px: int) -> str | None:
    try:
        example = dataset.examples[row]
    except NoiseproofError:  # a picture that was not needed so far, beside given probabilities
        return None
    return (
        shown_text(example)[:_MOST_CHARACTERS] if dataset.kind == "text" else _data_address(example, side_px)
    )


def _data_address(image: Any, side_px: int) -> str:
    """A PNG of a small picture, a JPEG of another one, at most `side_px` long."""
    is_lossless = max(image.size) <= _LOSSLESS_PX
    small, out = image.convert("RGB"), io.BytesIO()
    if is_lossless:
        small.save(out, format="PNG")
    else:
        small.thumbnail((side_px, side_px))
        small.save(out, format="JPEG", quality=_QUALITY)
    return f"data:image/{'png' if is_lossless else 'jpeg'};base64,{base64.b64encode(out.getvalue()).decode()}"
