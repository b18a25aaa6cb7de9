"""Noise in a data set: the labels or captions of what the user names, made wrong and kept in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noiseproof.core.errors import DamagedFile, invalid
from noiseproof.core.records import NoisyCaptions, NoisyLabels
from noiseproof.core.registry import unknown_name
from noiseproof.data.pairs.pairs import open_pairs
from noiseproof.data.sources import open_dataset
from noiseproof.noise.captions import swap_captions
from noiseproof.noise.class_maps import read_class_map
from noiseproof.noise.labels import KINDS
from noiseproof.noise.manifest import FILE, foreign_files, manifest_sha256, read_header, write_manifest
from noiseproof.noise.transition import read_transition, target_entropy_nats
from noiseproof.pipelines.encoding import aligned_features
from noiseproof.pipelines.inputs import corrupt_dataset
from noiseproof.report.noise_table import class_table, noise_table
from noiseproof.report.tables import Table

CAPTIONS = "captions"


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


def kinds() -> tuple[str, ...]:
    """Every kind of noise, of labels and of captions."""
    return (*KINDS.names, CAPTIONS)


def corrupt(
    name: str,
    *,
    kind: str,
    rate: float | None,
    seed: int,
    out: Path,
    image: str | None = None,
    caption: str | None = None,
    **of_labels: Any,
) -> Corrupted:
    """Wrong labels or captions, whichever the kind is of.

    Args:
        name: of a data set, or of image-text pairs.
        kind: one of `kinds()`.
        rate: share to change, in [0, 1].
        seed: of the draw.
        out: folder of what is written.
        image: column of the images.
        caption: of kind "captions", see `corrupt_pairs`.
        of_labels: of the other kinds, see `corrupt_labels_of`.

    Raises:
        UnknownName: no such kind.
        InvalidArgument: an option that the kind does not take, or no rate for captions.
    """
    if kind not in kinds():
        raise unknown_name("kind of noise", kind, kinds())
    if kind != CAPTIONS:
        if caption is not None:
            raise invalid("caption", caption, "nothing but for kind 'captions'", "Leave `caption` out.")
        return corrupt_labels_of(name, kind=kind, rate=rate, seed=seed, out=out, image=image, **of_labels)
    for option, value in of_labels.items():
        if value is not None:
            raise invalid(option, str(value), "nothing for kind 'captions'", f"Leave `{option}` out.")
    if rate is None:
        raise invalid("rate", rate, "a share between 0 and 1")
    return corrupt_pairs(name, rate=rate, seed=seed, out=out, caption=caption, image=image)


def corrupt_labels_of(
    name: str,
    *,
    kind: str,
    rate: float | None,
    seed: int,
    out: Path,
    label: str | None = None,
    clean_label: str | None = None,
    image: str | None = None,
    text: str | None = None,
    class_map: str | None = None,
    transition: Path | None = None,
    features: Path | None = None,
) -> Corrupted:
    """Wrong labels for the data set of this name, kept as a manifest.

    Args:
        name: as in `open_dataset`, like the columns.
        kind: as in `corrupt_dataset`, like rate and seed.
        out: folder of the manifest.
        class_map: as in `read_class_map`.
        transition: as in `read_transition`.
        features: folder of stored features.

    Raises:
        InvalidArgument: `out` has a manifest of other noise.
    """
    dataset = open_dataset(name, label=label, clean_label=clean_label, image=image, text=text)
    noisy = corrupt_dataset(
        dataset, kind=kind, rate=rate, seed=seed,
        class_map=None if class_map is None else read_class_map(class_map),
        transition=None if transition is None else read_transition(transition),
        features=None if features is None else aligned_features(features, dataset),
    )  # fmt: skip
    of_which: dict[str, Any] = {
        "ids": dataset.ids, "data_name": dataset.name, "data_fingerprint": dataset.fingerprint,
        "class_names": dataset.class_names,
    }  # fmt: skip
    _refuse_other_noise(out, manifest_sha256(noisy, **of_which))
    digest = write_manifest(out, noisy, **of_which)
    return Corrupted(noisy, digest, out, dataset.class_names)


def tables(done: Corrupted) -> list[Table]:
    """What was done, for people."""
    noisy = done.noisy
    if isinstance(noisy, NoisyCaptions):
        return [noise_table(noisy)]
    entropy = target_entropy_nats(noisy.clean, noisy.given, len(done.class_names))
    return [noise_table(noisy, target_entropy_nats=entropy), class_table(noisy, done.class_names)]


def corrupt_pairs(
    name: str, *, rate: float, seed: int, out: Path, caption: str | None = None, image: str | None = None
) -> Corrupted:
    """Swap captions of image-text pairs; writes a copy of the pairs, then the manifest.

    Only captions and ids are held in memory. The manifest comes last, so its existence means that the copy is
    complete.

    Args:
        name: a Parquet, CSV, TSV or JSONL file, or WebDataset shards (a folder of .tar files, or one).
        rate: share of rows that get the caption of another row.
        seed: of the draw.
        out: folder for the copy and the manifest.
        caption: column of the captions, or the file name extension in shards; found by its name if not given.
        image: column of the images or their paths, likewise.

    Raises:
        InvalidArgument: `out` is where the pairs are, or has other files than an earlier copy; a rate that
            these captions cannot have.
        BadData: the pairs cannot be read; the row or shard is named.
    """
    pairs = open_pairs(name, caption=caption, image=image)
    if out.resolve() in (Path(name).resolve(), Path(name).resolve().parent):
        raise invalid("out", str(out), f"a folder other than that of {name!r}, which stays as it is")
    _refuse_foreign_files(out)
    scan = pairs.scan()
    noisy = swap_captions(scan.captions, rate=rate, seed=seed)
    _clear(out)
    files = pairs.write(out, noisy.given)
    digest = write_manifest(
        out, noisy, ids=scan.ids, data_name=name, data_fingerprint=scan.fingerprint,
        files=[path.name for path in files],
    )  # fmt: skip
    return Corrupted(noisy, digest, out, files=tuple(files))


def _refuse_other_noise(out: Path, sha256: str) -> None:
    """Labels somebody may train on are not replaced by others; the same ones may be written again."""
    if not (out / FILE).is_file():
        return
    try:
        kept = read_header(out).sha256
    except DamagedFile:
        kept = None  # somebody else's file
    if kept != sha256:
        raise invalid(
            "out", str(out), "a folder without a manifest, or with that of the same noise in the same data",
            f"Its {FILE} is of other data, other options or another program. Next: remove it, or give "
            "another folder.",
        )  # fmt: skip


def _refuse_foreign_files(out: Path) -> None:
    others = foreign_files(out)
    if others:
        more = "..." if len(others) > 3 else ""
        raise invalid(
            "out", str(out), "a folder that is empty or has an earlier copy and its manifest",
            f"This one has {', '.join(others[:3])}{more}, which may be somebody's or of a copy that was cut "
            "short. Next: empty it, or give another folder.",
        )  # fmt: skip


def _clear(out: Path) -> None:
    """Remove an earlier copy, whose shards the new one need not have; the manifest first."""
    _refuse_foreign_files(out)
    (out / FILE).unlink(missing_ok=True)
    for path in out.iterdir() if out.is_dir() else ():
        path.unlink()
