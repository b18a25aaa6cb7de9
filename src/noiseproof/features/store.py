"""Features on disk: a folder per key, shards, and a manifest whose existence means complete.

```
STORE/KEY/part-00000.safetensors   features and ids of the first rows, with a SHA-256 over them
STORE/KEY/...
STORE/KEY/manifest.json            written last: what the features are of, SHA-256 of every shard
```

Checksums are compared by everything that builds on old files. `extract` and `load_features(..., verify=True)`
read everything once; plain `load_features` compares ids when it opens a shard, and the whole shard when its
first row is read: it maps gigabytes, and reading them all first would defeat that.

The key holds the data, the weights and the preprocessing, not the versions of libraries: after an upgrade of
torch, timm or Pillow, old features are still used. To encode again, name another store (`--cache`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from noiseproof.core.errors import BadData, MissingFile, invalid
from noiseproof.core.storage.checksums import write_record
from noiseproof.core.storage.documents import Document, read_document
from noiseproof.core.storage.files import hash_file
from noiseproof.core.storage.inner_paths import InnerPath, inner_path
from noiseproof.features.matrix import ShardedMatrix
from noiseproof.features.shards import (
    EXTRACT_AGAIN,
    OTHER_CHECKSUM,
    Shard,
    VerifiedRows,
    damaged,
    ids_hash,
    open_shard,
)

SCHEMA = 1
MANIFEST = "manifest.json"
SHARD_ROWS = 4096  # examples per file


class ShardEntry(BaseModel):
    """One shard in a manifest."""

    model_config = ConfigDict(frozen=True)
    file: InnerPath
    num_rows: int
    size_bytes: int
    sha256: str
    ids_sha256: str | None = None  # not in manifests of before

    def matches(self, folder: Path) -> bool:
        """Whether the shard is in this folder, byte for byte as recorded."""
        path = inner_path(folder, self.file)
        return path.is_file() and path.stat().st_size == self.size_bytes and hash_file(path) == self.sha256


class FeatureManifest(Document):
    """`manifest.json`: what the features are of and how they were made.

    Attributes:
        key: hash of the components.
        components: everything that the features depend on.
        dataset: name of the data set, for people.
        num_examples: n.
        dim: d.
        shard_rows: rows of every shard but the last.
        engine: what ran the encoder; several are joined by "+".
        features_agree_within: largest relative difference from PyTorch where another engine was checked.
        num_cut: examples of which the encoder read a part only.
        shards: in the order of the rows.
    """

    SCHEMA: ClassVar[int] = SCHEMA
    key: str
    components: dict[str, Any]
    dataset: str
    num_examples: int
    dim: int
    shard_rows: int
    engine: str
    features_agree_within: float | None = None
    num_cut: int = 0
    shards: tuple[ShardEntry, ...] = Field(min_length=1)


@dataclass(frozen=True, eq=False)
class StoredFeatures:
    """Features of one data set by one backbone.

    Attributes:
        features: (n, d), memory-mapped; `np.asarray` reads all of it.
        ids: n example ids.
        manifest: what the features are of and how they were made.
        path: the folder of this key.
        num_encoded: examples that went through the encoder in the call that returned this.
        parts: features of each encoder, where several stand side by side.
    """

    features: ShardedMatrix
    ids: np.ndarray = field(repr=False)
    manifest: FeatureManifest = field(repr=False)
    path: Path
    num_encoded: int = 0
    parts: tuple[StoredFeatures, ...] = ()

    def __len__(self) -> int:
        return len(self.features)


def store_key(components: dict[str, Any]) -> str:
    """SHA-256 over everything the features depend on."""
    return hashlib.sha256(json.dumps(components, sort_keys=True).encode()).hexdigest()


def shard_name(index: int) -> str:
    """File name of the shard with this number."""
    return f"part-{index:05d}.safetensors"


def load_features(path: str | Path, *, verify: bool = False, argument: str = "path") -> StoredFeatures:
    """Open stored features; nothing is read until it is used.

    Each shard is compared with its checksum when its first row is read; a damaged one raises `DamagedFile`
    then.

    Args:
        path: the folder of one key, or a store that holds one.
        verify: compare all shards now, which reads everything once.
        argument: name of the argument that it is the value of, for messages.

    Raises:
        MissingFile: there are no finished features.
        InvalidArgument: there are several; they are listed.
        DamagedFile: a shard or the manifest is not what was written; it is named.
    """
    folder = _only_key_folder(Path(path), argument)
    manifest = read_manifest(folder)
    shards = [_open_recorded(folder, entry, manifest.key, verify=verify) for entry in manifest.shards]
    features = ShardedMatrix(
        [
            shard.features if verify else VerifiedRows(shard, entry.sha256)
            for shard, entry in zip(shards, manifest.shards, strict=True)
        ]
    )
    if features.shape != (manifest.num_examples, manifest.dim):
        raise damaged(folder / MANIFEST, f"it promises another shape than {features.shape}")
    ids = np.concatenate([shard.ids for shard in shards])
    return StoredFeatures(features, ids, manifest, folder)


def read_manifest(folder: Path) -> FeatureManifest:
    """The manifest of a key folder.

    Raises:
        OtherSchema: another version of noiseproof wrote it.
        DamagedFile: it cannot be parsed or contradicts itself.
    """
    path = folder / MANIFEST
    manifest = read_document(path, FeatureManifest, next_step=EXTRACT_AGAIN)
    if manifest.key != store_key(manifest.components):
        raise damaged(path, "its key is not that of its components")
    return manifest


def write_manifest(
    folder: Path,
    shards: Sequence[Shard],
    *,
    components: dict[str, Any],
    dataset: str,
    shard_rows: int,
    num_cut: int = 0,
) -> None:
    """Declare these shards complete. Everything else in it is read off the shards."""
    agreements = [float(shard.metadata["agreement"]) for shard in shards if shard.metadata["agreement"]]
    manifest = FeatureManifest(
        key=store_key(components),
        components=components,
        dataset=dataset,
        num_examples=sum(len(shard.ids) for shard in shards),
        dim=shards[0].features.shape[1],
        shard_rows=shard_rows,
        engine="+".join(sorted({shard.metadata["engine"] for shard in shards})),
        features_agree_within=max(agreements, default=None),
        num_cut=num_cut,
        shards=tuple(
            ShardEntry(
                file=shard.path.name,
                num_rows=len(shard.ids),
                size_bytes=shard.path.stat().st_size,
                sha256=hash_file(shard.path),
                ids_sha256=ids_hash(shard.ids),
            )
            for shard in shards
        ),
    )
    write_record(folder / MANIFEST, manifest.to_json())


def check_components(folder: Path, manifest: FeatureManifest, expected: dict[str, Any]) -> None:
    """Raise `BadData` if the folder holds features of something else, saying what differs."""
    found = manifest.components
    differing = [name for name in expected if found.get(name) != expected[name]]
    if differing:
        listed = "; ".join(f"{name} is {found.get(name)!r}, not {expected[name]!r}" for name in differing)
        raise BadData(
            f"The features in {str(folder)!r} were made by another backbone or from other data: {listed}. "
            "Allowed: the folder that extraction made for them. Next: extract into another store."
        )


def _open_recorded(folder: Path, entry: ShardEntry, key: str, *, verify: bool) -> Shard:
    path = inner_path(folder, entry.file)
    if not path.is_file():
        raise damaged(path, "it is missing")
    size_bytes = path.stat().st_size
    if size_bytes != entry.size_bytes:
        raise damaged(path, f"it has {size_bytes} bytes, the manifest has {entry.size_bytes}")
    if (verify or entry.ids_sha256 is None) and hash_file(path) != entry.sha256:
        raise damaged(path, OTHER_CHECKSUM)
    shard = open_shard(path)
    if entry.ids_sha256 not in (None, ids_hash(shard.ids)):
        raise damaged(path, OTHER_CHECKSUM)
    if shard.metadata.get("key") != key or len(shard.features) != entry.num_rows:
        raise damaged(path, "it belongs to other features")
    return shard


def _only_key_folder(path: Path, argument: str) -> Path:
    if (path / MANIFEST).is_file():
        return path
    folders = sorted(each.parent for each in path.glob(f"*/{MANIFEST}"))
    if not folders:
        is_unfinished = any(path.glob("*/part-*.safetensors"))
        next_step = (
            "start the extraction again; it goes on where it stopped"
            if is_unfinished
            else f"'noiseproof extract {path} --out features/', and name that folder"
        )
        fault = "holds no finished features" if path.exists() else "does not exist"
        raise MissingFile(
            f"`{argument}` is {str(path)!r}, which {fault}; "
            f"allowed: a folder of 'noiseproof extract'. Next: {next_step}."
        )
    if len(folders) > 1:
        listed = "".join(f"\n  {folder}: {_described(folder)}" for folder in folders)
        raise invalid(argument, str(path), "a folder with one set of features, or one of these:" + listed)
    return folders[0]


def _described(folder: Path) -> str:
    manifest = read_manifest(folder)
    return f"{manifest.dataset} by {manifest.components['backbone']}"
