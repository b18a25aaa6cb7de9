"""Texts that are words for an empty cell, such as "nan": encoded as they are, and named in a note."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from noiseproof.core.errors import BadData
from noiseproof.core.plurals import some
from noiseproof.data.examples import AbstractReader
from noiseproof.data.text_cells import is_blank, is_missing_word

_NUM_NAMED = 5


@final
class WatchedTexts(AbstractReader):
    """Contents of another reader; texts that are words for an empty cell are remembered as they are read."""

    def __init__(self, contents: AbstractReader) -> None:
        self._contents = contents
        self._words: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._contents)

    def read(self, row: int) -> Any:
        """The contents of the row."""
        content = self._contents.read(row)
        for text in content if isinstance(content, tuple) else (content,):
            if isinstance(text, str) and is_missing_word(text) and not is_blank(text):
                self._words[row] = text
        return content

    def notes(self, ids: np.ndarray, owner: str) -> tuple[str, ...]:
        """A sentence on such texts among those that were read; none without any."""
        if not self._words:
            return ()
        return (
            f"Texts of {owner} that read like empty cells, and are encoded as they are: {self._listed(ids)}. "
            "Next: where a text is missing, leave the cell empty, and the example out (--on-error skip).",
        )

    def refuse_most(self, ids: np.ndarray, owner: str) -> None:
        """Raise `BadData` where more than half of the texts are such words."""
        if 2 * len(self._words) > len(ids):
            raise BadData(
                f"Most texts of {owner!r} read like empty cells: {self._listed(ids)}, of {len(ids)} texts; "
                "allowed: texts in most rows. Next: leave such cells empty, and the examples out (--on-error "
                "skip), or name another column with `text`."
            )

    def _listed(self, ids: np.ndarray) -> str:
        named = some((f"{word!r} in {str(ids[row])!r}" for row, word in self._words.items()), _NUM_NAMED)
        return f"{len(self._words)} ({named})"
