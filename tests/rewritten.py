"""JSON files of ours with other values, as somebody would have written them: their checksums fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from noiseproof.core.storage.checksums import read_record, write_record


def rewritten(path: Path, **values: Any) -> Path:
    """The file, in which these keys have other values; `...` takes a key out."""
    record = read_record(path, next_step="...") | values
    write_record(path, {name: value for name, value in record.items() if value is not ...})
    return path
