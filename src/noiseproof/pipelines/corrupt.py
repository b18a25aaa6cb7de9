"""Noise in a data set: the labels or captions of what the user names, made wrong and kept in a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noiseproof.config.corrupt import CorruptConfig
from noiseproof.core.errors import invalid
from noiseproof.core.records import NoisyCaptions, NoisyLabels
from noiseproof.data.pairs.pairs import open_pairs
from noiseproof.data.sources import open_dataset
from noiseproof.noise.captions import swap_captions
from noiseproof.noise.inject import corrupt_dataset
from noiseproof.noise.manifest import FILE, manifest_sha256, strangers, write_manifest
from noiseproof.noise.spec import CAPTIONS
from noiseproof.noise.transition import target_entropy_nats
from noiseproof.pipelines.encoding import aligned_features
from noiseproof.pipelines.inputs import label_columns
from noiseproof.report.noise_table import class_table, noise_table
from noiseproof.report.tables import Table


@dataclass(frozen=True, eq=False)
class Corrupted:
    """What `corrupt` left behind.

    Attributes:
        noisy: labels or captions, with the truth.
        sha256: of the manifest.
        folder: of the manifest and, for captions, the copy of the pairs.
        class_names: of the class ids; empty for captions.
        files: of the copy.
    """

    noisy: NoisyLabels | NoisyCaptions
    sha256: str
    folder: Path
    class_names: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


def corrupt(config: CorruptConfig) -> Corrupted:
    """Make labels or captions wrong, whichever the noise is of, and keep what was changed.

    Raises:
        InvalidArgument: `out` has a manifest of other noise, or, for captions, other files.
        BadData: the data cannot be used, or cannot have this noise.
    """
    return _corrupt_captions(config) if config.noise.kind == CAPTIONS else _corrupt_labels(config)


def _corrupt_labels(config: CorruptConfig) -> Corrupted:
    columns = label_columns(config)
    dataset = open_dataset(
        config.train, **columns, image=config.image, text=config.text, limit=config.limit, seed=config.seed,
        on_error=config.on_error,
    )  # fmt: skip
    features = None if config.features is None else aligned_features(config.features, dataset)
    noisy = corrupt_dataset(dataset, config.noise, seed=config.seed, features=features)
    made_of: dict[str, Any] = {
        "ids": dataset.ids, "data_name": dataset.name, "data_fingerprint": dataset.fingerprint,
        "class_names": dataset.class_names,
    }  # fmt: skip
    _refuse_other_noise(config.out, manifest_sha256(noisy, **made_of))
    digest = write_manifest(config.out, noisy, **made_of)
    return Corrupted(noisy, digest, config.out, dataset.class_names)


def noise_tables(done: Corrupted) -> list[Table]:
    """What was changed, for people."""
    noisy = done.noisy
    if isinstance(noisy, NoisyCaptions):
        return [noise_table(noisy)]
    entropy = target_entropy_nats(noisy.clean, noisy.given, len(done.class_names))
    return [noise_table(noisy, target_entropy_nats=entropy), class_table(noisy, done.class_names)]


def _corrupt_captions(config: CorruptConfig) -> Corrupted:
    """Swap captions of image-text pairs; write a copy of the pairs, then the manifest.

    Only captions and ids are held in memory. The manifest comes last, so its existence means that the copy is
    complete.
    """
    name, out = config.train, config.out
    pairs = open_pairs(name, caption=config.caption, image=config.image)
    if out.resolve() in (Path(name).resolve(), Path(name).resolve().parent):
        raise invalid("out", str(out), f"a folder other than that of {name!r}, which stays as it is")
    _refuse_strangers(out)
    scan = pairs.scan()
    assert config.noise.rate is not None  # noise of captions has one
    noisy = swap_captions(scan.captions, rate=config.noise.rate, seed=config.seed)
    _clear(out)
    files = pairs.write(out, noisy.given)
    digest = write_manifest(
        out, noisy, ids=scan.ids, data_name=name, data_fingerprint=scan.fingerprint,
        files=[path.name for path in files],
    )  # fmt: skip
    return Corrupted(noisy, digest, out, files=tuple(files))


def _refuse_other_noise(out: Path, sha256: str) -> None:
    """Labels somebody may train on are not replaced by others; the same ones may be written again."""
    path = out / FILE
    if not path.is_file():
        return
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))["sha256"]
    except (ValueError, KeyError, TypeError):
        kept = None  # somebody else's file
    if kept != sha256:
        raise invalid(
            "out", str(out), "a folder without a manifest, or with that of the same noise in the same data",
            f"Its {FILE} is of other data, other options or another program. Next: remove it, or give "
            "another folder.",
        )  # fmt: skip


def _refuse_strangers(out: Path) -> None:
    others = strangers(out)
    if others:
        more = "..." if len(others) > 3 else ""
        raise invalid(
            "out", str(out), "a folder that is empty or has an earlier copy and its manifest",
            f"This one has {', '.join(others[:3])}{more}, which may be somebody's or of a copy that was cut "
            "short. Next: empty it, or give another folder.",
        )  # fmt: skip


def _clear(out: Path) -> None:
    """Remove an earlier copy, whose shards the new one need not have; the manifest first."""
    _refuse_strangers(out)
    (out / FILE).unlink(missing_ok=True)
    for path in out.iterdir() if out.is_dir() else ():
        path.unlink()
