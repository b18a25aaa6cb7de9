"""One shard: a safetensors file with rows of features, their ids and a checksum over both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from safetensors.numpy import save

from noiseproof.core.errors import DamagedFile
from noiseproof.core.storage.files import hash_file, write_bytes
from noiseproof.core.storage.json_text import parse_json
from noiseproof.core.storage.regular_files import open_regular

_MAX_HEADER_BYTES = 100_000_000  # as safetensors has it
_DTYPES = {"F16": np.float16, "F32": np.float32, "I64": np.int64, "U8": np.uint8}


@dataclass(frozen=True, eq=False)
class Shard:
    """A shard that was opened; the features are still on disk.

    Attributes:
        path: the file.
        features: memory-mapped, read-only.
        ids: of these rows.
        metadata: notes of the writer, and `sha256` over them, the features and the ids.
    """

    path: Path
    features: Float[np.ndarray, "m d"]
    ids: np.ndarray
    metadata: dict[str, str]

    def is_intact(self) -> bool:
        """Whether the contents are what was written."""
        noted = {name: value for name, value in self.metadata.items() if name != "sha256"}
        return self.metadata.get("sha256") == _contents_hash(self.features, _encoded_ids(self.ids), noted)


def write_shard(
    path: Path, features: Float[np.ndarray, "m d"], ids: np.ndarray, metadata: Mapping[str, str]
) -> None:
    """Write a shard atomically. The same contents give the same bytes."""
    encoded = _encoded_ids(ids)
    noted = {**metadata, "sha256": _contents_hash(features, encoded, metadata)}
    # In one entry: safetensors writes several in an order that changes from process to process.
    header = {"noiseproof": json.dumps(noted, sort_keys=True)}
    write_bytes(path, save({"features": np.ascontiguousarray(features), **encoded}, metadata=header))


def open_shard(path: Path) -> Shard:
    """Map a shard; only its header and ids are read.

    Raises:
        DamagedFile: it is missing, truncated, or not such a file.
    """
    try:
        size_bytes = path.stat().st_size
        with open_regular(path) as file:
            header_bytes = int.from_bytes(file.read(8), "little")
            if not 0 <= header_bytes <= min(size_bytes, _MAX_HEADER_BYTES):
                raise ValueError("the header is longer than the file")
            header: dict[str, Any] = parse_json(file.read(header_bytes))
        metadata = parse_json(header.pop("__metadata__")["noiseproof"])
        begin = 8 + header_bytes
        if begin + max(entry["data_offsets"][1] for entry in header.values()) != size_bytes:
            raise ValueError("the file is shorter or longer than in its header")
        arrays = {name: _mapped(path, begin, entry) for name, entry in header.items()}
        return Shard(path, arrays.pop("features"), _decoded_ids(arrays), metadata)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(path, str(error) or type(error).__name__) from error


class VerifiedRows:
    """(m, d) rows of a shard, whose file is compared with its checksum before the first of them is read."""

    def __init__(self, shard: Shard, sha256: str) -> None:
        self._shard, self._sha256 = shard, sha256
        self._is_verified = False
        self.shape = shard.features.shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Float[np.ndarray, "m d"]:
        """Rows by a slice or an integer array.

        Raises:
            DamagedFile: the file is not what was written.
        """
        if not self._is_verified:
            if hash_file(self._shard.path) != self._sha256:
                raise damaged(self._shard.path, OTHER_CHECKSUM)
            self._is_verified = True
        return self._shard.features[rows]


OTHER_CHECKSUM = "its checksum is not that of the manifest"
EXTRACT_AGAIN = "run the same extraction again; it replaces damaged files and keeps the others"


def damaged(path: Path, reason: str) -> DamagedFile:
    """The one wording for a shard or manifest that is not what was written."""
    return DamagedFile(f"The feature file {str(path)!r} is damaged: {reason}. Next: {EXTRACT_AGAIN}.")


def ids_hash(ids: np.ndarray) -> str:
    """SHA-256 of the ids of a shard."""
    return _contents_hash(np.empty((0, 0)), _encoded_ids(ids), {})


def _mapped(path: Path, begin: int, entry: Mapping[str, Any]) -> np.ndarray:
    first, last = entry["data_offsets"]
    dtype, shape = np.dtype(_DTYPES[entry["dtype"]]), tuple(entry["shape"])
    if last - first != dtype.itemsize * int(np.prod(shape)):
        raise ValueError("an array is shorter or longer than its shape")
    if first == last:
        return np.empty(shape, dtype)  # an empty range cannot be mapped
    return np.memmap(path, dtype=dtype, mode="r", offset=begin + first, shape=shape)


def _encoded_ids(ids: np.ndarray) -> dict[str, np.ndarray]:
    """Whole numbers as they are, everything else as UTF-8 with the end of each."""
    if np.issubdtype(ids.dtype, np.integer):
        return {"ids": ids.astype(np.int64)}
    texts = [str(each).encode() for each in ids]
    return {
        "ids_utf8": np.frombuffer(b"".join(texts), dtype=np.uint8),
        "ids_ends": np.cumsum([len(text) for text in texts], dtype=np.int64),
    }


def _decoded_ids(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    if "ids" in arrays:
        return np.array(arrays["ids"])
    joined, ends = arrays["ids_utf8"].tobytes(), arrays["ids_ends"].tolist()
    begins = [0, *ends[:-1]]
    return np.array([joined[begin:end].decode() for begin, end in zip(begins, ends, strict=True)], dtype=str)


def _contents_hash(
    features: np.ndarray, encoded_ids: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> str:
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, array in sorted({"features": features, **encoded_ids}.items()):
        digest.update(f"{name} {array.dtype} {array.shape};".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
