"""Metadata of an ONNX file, written without the package `onnx`."""

from __future__ import annotations

from collections.abc import Mapping


def metadata_bytes(entries: Mapping[str, str]) -> bytes:
    """Entries of `metadata_props`, field 14 of ModelProto, to append to a model: protobuf joins the parts."""
    content = b""
    for key, value in entries.items():
        entry = _field(1, key.encode()) + _field(2, value.encode())
        content += _field(14, entry)
    return content


def _field(number: int, value: bytes) -> bytes:
    """A field of bytes in the encoding of protobuf: tag, length, value."""
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    digits = []
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])
