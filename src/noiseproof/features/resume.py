"""Resume an extraction: which shards are finished, and which process writes the others."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noiseproof.core.errors import DamagedFile, invalid
from noiseproof.core.storage.files import locked_folder
from noiseproof.core.storage.marks import claim
from noiseproof.features.shards import open_shard
from noiseproof.features.store import (
    MANIFEST,
    FeatureManifest,
    StoredFeatures,
    check_components,
    load_features,
    read_manifest,
    shard_name,
    store_key,
)

_ANOTHER = "Next: name another folder (--cache, or --out of extract)."


@dataclass(frozen=True)
class Span:
    """Rows start to stop of the data set, which make up one shard."""

    path: Path
    start: int
    stop: int

    @property
    def answers(self) -> Path:
        """The file of a service's answers for these rows, until the shard is written."""
        return self.path.with_suffix(".answers")

    def __len__(self) -> int:
        return self.stop - self.start


def key_folder(store: Path, components: dict[str, Any]) -> Path:
    """Folder for features of these components.

    Raises:
        InvalidArgument: the store is itself one set of features, made by some backbone.
    """
    if (store / MANIFEST).is_file():
        manifest = read_manifest(store)
        raise invalid(
            "store", str(store), "a folder of feature sets",
            f"This is one set: {manifest.dataset!r} by {manifest.components['backbone']!r}. Next: give "
            "the folder above it.",
        )  # fmt: skip
    return store / store_key(components)


def finished(folder: Path, components: dict[str, Any]) -> StoredFeatures | None:
    """The features if all of them exist unchanged, else `None`.

    A manifest that is in itself in order and yet does not fit its shards counts as unfinished too.

    Raises:
        BadData: the folder holds features of something else.
    """
    manifest = _readable_manifest(folder)
    if manifest is None:
        return None
    check_components(folder, manifest, components)
    try:
        return load_features(folder, verify=True)
    except DamagedFile:
        return None


@contextmanager
def only_process(folder: Path, *, quiet: bool) -> Iterator[None]:
    """Hold the lock of a key folder, as soon as no other process extracts the same features."""

    def on_wait() -> None:
        if not quiet:
            print(f"Another process is extracting the features in {folder}; waiting.", file=sys.stderr)  # noqa: T201

    claim(folder.parent, argument="store", next_step=_ANOTHER)
    with locked_folder(folder, argument="store", on_wait=on_wait):
        yield


def spans_to_encode(
    folder: Path, num_examples: int, components: dict[str, Any], shard_rows: int
) -> tuple[list[Span], list[Span]]:
    """All spans, and those that must be encoded. Call it under the lock: it removes files of other spans.

    A finished set keeps the shard size it was made with. In an unfinished one, shards of another size are
    encoded again.
    """
    manifest = _readable_manifest(folder)
    if manifest is not None:
        spans = _spans(folder, num_examples, manifest.shard_rows)
        recorded = {entry.file for entry in manifest.shards if entry.matches(folder)}
        kept = [
            span.path.name in recorded
            and _holds_rows(span, store_key(components))  # the manifest may record what is not of this set
            for span in spans
        ]
    else:
        spans = _spans(folder, num_examples, shard_rows)
        kept = [_holds_rows(span, store_key(components)) for span in spans]
    _remove_others(folder, spans)
    missing = [span for span, is_kept in zip(spans, kept, strict=True) if not is_kept]
    for span in set(spans) - set(missing):
        span.answers.unlink(missing_ok=True)
    if manifest is not None:
        for span in missing:
            _warn(span.path, "it is not the shard in the manifest")
    return spans, missing


def unfinished_spans(
    folder: Path, num_examples: int, components: dict[str, Any], shard_rows: int
) -> list[Span]:
    """Spans of which there is no intact shard; nothing is changed."""
    spans = _spans(folder, num_examples, shard_rows)
    return [span for span in spans if not _holds_rows(span, store_key(components))]


def _spans(folder: Path, num_examples: int, shard_rows: int) -> list[Span]:
    starts = range(0, num_examples, shard_rows)
    return [
        Span(folder / shard_name(index), start, min(start + shard_rows, num_examples))
        for index, start in enumerate(starts)
    ]


def _holds_rows(span: Span, key: str) -> bool:
    """Whether a shard of an unfinished set holds these rows, by its own checksum."""
    if not span.path.is_file():
        return False
    try:
        shard = open_shard(span.path)
    except DamagedFile as error:
        _warn(span.path, str(error))
        return False
    if shard.metadata.get("key") != key or not shard.is_intact():
        _warn(span.path, "its checksum is wrong")
        return False
    return shard.metadata.get("start") == str(span.start) and len(shard.ids) == len(span)


def _readable_manifest(folder: Path) -> FeatureManifest | None:
    if not (folder / MANIFEST).is_file():
        return None
    try:
        return read_manifest(folder)
    except DamagedFile as error:
        _warn(folder / MANIFEST, str(error))
        return None


def _remove_others(folder: Path, spans: Sequence[Span]) -> None:
    needed = {path.name for span in spans for path in (span.path, span.answers)}
    for path in folder.glob("part-*.*"):
        if path.name not in needed:
            path.unlink()


def _warn(path: Path, reason: str) -> None:
    warnings.warn(f"The feature file {str(path)!r} is damaged and made again: {reason}", stacklevel=4)
