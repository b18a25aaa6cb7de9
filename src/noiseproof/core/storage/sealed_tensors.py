"""Tensors on disk: safetensors with a header of ours, whose checksums are compared when they are read.

The header is one entry of the metadata, a sealed JSON object (`core.storage.checksums`) with the key
`tensors_sha256` over names, types, shapes and bytes of all tensors. One entry, since safetensors writes
several in an order that changes from run to run.

`safetensors.torch.save_file` has a temporary file of its own beside the target, which a kill leaves there, as
large as a checkpoint, and gives the target permissions for its owner only. `write_tensors` writes the same
bytes to the temporary file of `files.replacing`, tensor by tensor, so that memory has no second copy.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from noiseproof.core.errors import DamagedFile
from noiseproof.core.storage.checksums import damaged, sealed, unsealed
from noiseproof.core.storage.files import replacing
from noiseproof.core.storage.json_text import parse_json

# Names in the format, in the order of safetensors: wide types are first in the file, so that all are aligned.
_NAMES = {
    torch.int64: "I64", torch.float64: "F64", torch.complex64: "C64", torch.float32: "F32",
    torch.int32: "I32", torch.bfloat16: "BF16", torch.float16: "F16", torch.int16: "I16",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.int8: "I8", torch.uint8: "U8",
    torch.bool: "BOOL",
}  # fmt: skip
_ENTRY = "noiseproof"  # of the metadata
_TENSORS = "tensors_sha256"
_UNREADABLE = (SafetensorError, OSError, ValueError, RecursionError)


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes of tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def write_sealed_tensors(path: str | Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write a file atomically.

    Args:
        tensors: on any device, of any layout; channels-last weights lose it.
    """
    write_tensors(path, tensors, metadata=sealed_metadata(tensors, header))


def sealed_metadata(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> dict[str, str]:
    """Metadata of a file of these tensors."""
    return {_ENTRY: json.dumps(sealed({**header, _TENSORS: hash_tensors(tensors)}), sort_keys=True)}


def read_sealed_tensors(path: str | Path, *, next_step: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Header and tensors of a file; a header without keys if another program wrote it.

    Args:
        path: of the file, which exists.
        next_step: how a damaged file is replaced, for messages; starts with a verb.

    Raises:
        DamagedFile: it cannot be read, or has changed since it was written.
    """
    with _opened(path, next_step) as (file, header):
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    expected = header.pop(_TENSORS, None)
    if expected is not None and hash_tensors(tensors) != expected:
        raise damaged(str(path), "its tensors are not those of its checksum", next_step)
    return header, tensors


def read_sealed_header(path: str | Path, *, next_step: str) -> dict[str, Any]:
    """The header of a file, see `read_sealed_tensors`; tensors are neither read nor compared."""
    with _opened(path, next_step) as (_, header):
        header.pop(_TENSORS, None)
        return header


@contextmanager
def _opened(path: str | Path, next_step: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    try:
        with safe_open(path, "pt") as file:
            yield file, _header(file.metadata(), str(path), next_step)
    except DamagedFile:
        raise
    except _UNREADABLE as error:
        raise damaged(str(path), f"it cannot be read ({error})", next_step) from error


def _header(metadata: Mapping[str, str] | None, source: str, next_step: str) -> dict[str, Any]:
    metadata = metadata or {}
    if _ENTRY not in metadata and any(_TENSORS in text for text in metadata.values()):
        raise damaged(source, "its header has another name", next_step)  # one letter of it changed
    header = parse_json(metadata.get(_ENTRY, "{}"))
    if not isinstance(header, dict):
        raise damaged(source, "its header is no JSON object", next_step)
    return dict(unsealed(header, source=source, next_step=next_step))


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str]
) -> None:
    """Write tensors by name; the same tensors give the same bytes.

    Args:
        tensors: on any device, in any memory layout.

    Raises:
        NoSpaceLeft: disk or quota is full; the file is as it was.
    """
    ranks = {dtype: rank for rank, dtype in enumerate(_NAMES)}
    in_order = sorted(tensors.items(), key=lambda each: (ranks[each[1].dtype], each[0]))
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, tensor in in_order:
        begin, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    content = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    content += b" " * (-len(content) % 8)
    with replacing(path) as partial, partial.open("wb") as file:
        file.write(len(content).to_bytes(8, "little") + content)
        for _, tensor in in_order:
            flat = tensor.detach().cpu().contiguous().view(-1)
            file.write(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
