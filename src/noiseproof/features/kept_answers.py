"""Answers of a service for a shard that is not finished: no answer is requested twice.

```
STORE/KEY/part-00000.answers   a line of JSON per request: key, rows, features as base64, checksum
```

A line is on disk before another request takes the place of its own. The file goes when its shard is written.
"""

from __future__ import annotations

import base64
import os
import threading
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from noiseproof.core.errors import DamagedFile
from noiseproof.core.storage.checksums import to_line, unsealed
from noiseproof.core.storage.files import append_lines, whole_lines
from noiseproof.core.storage.json_text import parse_json


class KeptAnswers:
    """The answers in such a file.

    Args:
        path: of the file, which may not exist yet.
        key: of the feature set; answers of other sets are passed over.

    Attributes:
        rows: that are answered, in the order of `features`.
        features: of these rows; `None` without any.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key, self._lock = path, key, threading.Lock()
        lines = whole_lines(path).splitlines() if path.exists() else []
        read = [answer for answer in map(self._parsed, lines) if answer is not None]
        self.rows = np.concatenate([rows for rows, _ in read]) if read else np.empty(0, np.int64)
        self.features = np.concatenate([features for _, features in read]) if read else None

    def cut_torn_line(self) -> None:
        """Remove what a kill left of the last line, so that the next one begins at its start."""
        if self._path.exists():
            os.truncate(self._path, len(whole_lines(self._path)))

    def add(self, rows: Int[np.ndarray, " b"], features: Float[np.ndarray, "b d"]) -> None:
        """Write an answer and wait until it is on disk; safe from several threads.

        Raises:
            NoSpaceLeft: the disk is full; earlier answers stay.
        """
        content = np.ascontiguousarray(features, "<f4").tobytes()
        line = {"key": self._key, "rows": rows.tolist(), "features": base64.b64encode(content).decode()}
        with self._lock:
            append_lines(self._path, [to_line(line)])

    def _parsed(self, line: bytes) -> tuple[np.ndarray, np.ndarray] | None:
        """Rows and features of a line; `None` where it is damaged, which costs one more request."""
        try:
            value = unsealed(parse_json(line), source=str(self._path), next_step="request it again")
            if value["key"] != self._key:
                return None
            rows = np.array(value["rows"], np.int64)
            content = base64.b64decode(value["features"], validate=True)
            return rows, np.frombuffer(content, "<f4").reshape(len(rows), -1)
        except (DamagedFile, ValueError, KeyError, TypeError):
            return None
