"""Checksums of what noiseproof writes and reads back: the one way by which a damaged file is noticed.

A JSON object (a document, a line of JSON, the header of a safetensors file) has the key `checksum`, over all
of its other values. Those of tensors, tables and pictures are in such an object: in their own header, in the
document beside them, or in the card of their folder. Whatever reads a file compares them.

A checksum covers values, so spaces and the order of keys may change. An object without one is read as it is:
older files have none, and to edit a file by hand, delete the key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from noiseproof.core.errors import DamagedFile
from noiseproof.core.storage.files import hash_file, whole_lines, write_json
from noiseproof.core.storage.json_text import BadJson, parse_json
from noiseproof.core.storage.regular_files import read_regular

KEY = "checksum"
_NOT_ITS_HASH = "its SHA-256 is not the one it was written with"
_NUM_DIGITS = 16  # 64 bits: damage goes unnoticed once in 2e19


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object with its checksum as the last key."""
    return {**record, KEY: _checksum(record)}


def unsealed(value: Any, *, source: str, next_step: str) -> Any:
    """A parsed JSON value without its checksum, after it was compared; a list entry by entry.

    Args:
        value: parsed JSON.
        source: of the value, for messages.
        next_step: how damaged content is replaced, for messages; starts with a verb.

    Raises:
        DamagedFile: the checksum is of other contents.
    """
    if isinstance(value, list):
        return [unsealed(each, source=source, next_step=next_step) for each in value]
    if not isinstance(value, dict):
        return value
    if KEY not in value:
        if any(map(_is_nearly_key, value)):
            raise damaged(source, "the name of its checksum has changed", next_step)
        return value
    record = {key: each for key, each in value.items() if key != KEY}
    if value[KEY] != _checksum(record):
        raise damaged(source, "its contents are not those of its checksum", next_step)
    return record


def to_line(record: Mapping[str, Any]) -> str:
    """A JSON object with its checksum as one line, without a line break."""
    return json.dumps(sealed(record), allow_nan=False)


def read_lines(path: Path, *, next_step: str) -> list[dict[str, Any]]:
    """The objects in a file of `to_line`; what follows the last line break was cut off by a kill.

    Raises:
        DamagedFile: a line is no JSON object, or has changed since; its number is given.
    """
    records = []
    for number, line in enumerate(whole_lines(path).splitlines(), start=1):
        source = f"line {number} of {path}"
        try:
            value = parse_json(line)
        except BadJson as error:
            raise damaged(source, str(error), next_step) from error
        if not isinstance(value, dict):
            raise damaged(source, "it is no object", next_step)
        records.append(unsealed(value, source=source, next_step=next_step))
    return records


def write_record(path: Path, value: Mapping[str, Any] | list[Any]) -> None:
    """Write a JSON object, or a list of objects, with checksums; atomically."""
    write_json(path, [sealed(each) for each in value] if isinstance(value, list) else sealed(value))


def read_record(path: Path, *, next_step: str) -> Any:
    """What `write_record` wrote, without checksums.

    Raises:
        DamagedFile: it is no JSON, or has changed since.
    """
    try:
        value = parse_json(read_regular(path))
    except BadJson as error:
        raise damaged(str(path), str(error), next_step) from error
    return unsealed(value, source=str(path), next_step=next_step)


def check_file(path: Path, sha256: str | None, *, next_step: str) -> None:
    """Raise `DamagedFile` if a file is not the one with this SHA-256; `None` fits every file."""
    if sha256 is not None and hash_file(path) != sha256:
        raise damaged(str(path), _NOT_ITS_HASH, next_step)


def check_bytes(source: str, content: bytes, sha256: str, *, next_step: str) -> None:
    """Likewise, for the contents of a file that were read already."""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise damaged(source, _NOT_ITS_HASH, next_step)


def damaged(source: str, reason: str, next_step: str) -> DamagedFile:
    """The one wording for a file that is not what was written."""
    return DamagedFile(f"{source!r} is damaged: {reason}. Next: {next_step}.")


def _is_nearly_key(name: str) -> bool:
    """Whether one letter of the key has changed."""
    return len(name) == len(KEY) and sum(one != other for one, other in zip(name, KEY, strict=True)) == 1


def _checksum(record: Mapping[str, Any]) -> str:
    plain = json.loads(json.dumps(record))  # keys are texts, as they are when the file is read
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:_NUM_DIGITS]
