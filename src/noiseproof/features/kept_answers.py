"""Answers of a service for a shard that is not finished: no answer is requested twice.

```
STORE/KEY/part-00000.answers   a line of JSON per request: rows, features as base64, SHA-256
```

A line is on disk before its thread asks again. The file goes when its shard is written.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from noiseproof.core.files import append_lines, whole_lines


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
        numbers = rows.tolist()
        line = {
            "rows": numbers,
            "features": base64.b64encode(content).decode(),
            "sha256": self._checksum(numbers, content),
        }
        with self._lock:
            append_lines(self._path, [json.dumps(line)])

    def _parsed(self, line: bytes) -> tuple[np.ndarray, np.ndarray] | None:
        """Rows and features of a line; `None` where it is damaged, which costs one more request."""
        try:
            value = json.loads(line)
            content = base64.b64decode(value["features"], validate=True)
            if value["sha256"] != self._checksum(value["rows"], content):
                return None
            rows = np.array(value["rows"], np.int64)
            return rows, np.frombuffer(content, "<f4").reshape(len(rows), -1)
        except (ValueError, KeyError, TypeError):
            return None

    def _checksum(self, rows: list[int], content: bytes) -> str:
        return hashlib.sha256(f"{self._key} {rows}".encode() + content).hexdigest()
