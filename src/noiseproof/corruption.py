"""Noise in a data set: the labels or captions of what the user names, made wrong and kept in a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from noiseproof.data.matrices import as_array
from noiseproof.data.pairs import open_pairs
from noiseproof.data.sources import open_dataset
from noiseproof.errors import BadData, InvalidArgument, MissingFile, invalid
from noiseproof.features.store import load_features
from noiseproof.noise.captions import swap_captions
from noiseproof.noise.labels import KINDS, corrupt_labels, options_of
from noiseproof.noise.manifest import FILE, manifest_sha256, strangers, write_manifest
from noiseproof.noise.transition import target_entropy_nats
from noiseproof.records import Dataset, NoisyCaptions, NoisyLabels, rows_by_id
from noiseproof.registry import unknown_name
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


def corrupt_dataset(
    dataset: Dataset,
    *,
    kind: str,
    rate: float | None,
    seed: int,
    class_map: str | Mapping[Any, Any] | None = None,
    transition: Any = None,
    features: Any = None,
) -> NoisyLabels:
    """Wrong labels for a data set; the true ones are where the noise starts, if they are known.

    Args:
        dataset: with labels.
        kind: a name of `KINDS`; "real" takes the given labels beside the true ones.
        rate: see `corrupt_labels`, as for the others.
        seed: of the draw.
        class_map: of kind "asymmetric".
        transition: of kind "asymmetric".
        features: in the order of the examples; by default the examples themselves as numbers.

    Raises:
        BadData: no labels; kind "real" without true labels.
    """
    given, clean = dataset.given_labels, dataset.clean_labels
    if given is None:
        raise BadData(f"{dataset.name!r} has no labels. Next: name their column with `label`.")
    if kind == "real" and clean is None:
        raise BadData(
            f"Kind 'real' compares two columns of labels, and {dataset.name!r} has one; allowed: a column of "
            "the true labels too. Next: name it with `clean_label`."
        )
    if features is None and "features" in options_of(kind):
        features = as_array(dataset)
    return corrupt_labels(
        given if clean is None else clean,
        kind=kind, rate=rate, num_classes=len(dataset.class_names), seed=seed, class_map=class_map,
        transition=transition, features=features, given=given if kind == "real" else None,
        class_names=dataset.class_names,
    )  # fmt: skip


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
    _refuse_strangers(out)
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


def aligned_features(folder: Path, dataset: Dataset) -> Any:
    """Stored features in the order of a data set, still on disk.

    Raises:
        MissingFile: no features there.
        BadData: they are not of these examples.
    """
    stored = load_features(folder)
    rows, absent = rows_by_id(dataset.ids, stored.ids)
    if absent:
        raise BadData(
            f"The features in {str(folder)!r} have no example {absent[0]!r} of {dataset.name!r}; allowed: "
            f"features of all its examples. Next: noiseproof extract {dataset.name} --out {folder}"
        )
    return stored.features.rows(rows)


def read_class_map(text: str) -> str | dict[Any, Any]:
    """A map as the command line has it: a name, a YAML or JSON file, or `cat: dog, dog: cat`.

    Raises:
        InvalidArgument: none of these.
    """
    path = Path(text)
    content = path.read_text(encoding="utf-8") if path.is_file() else text
    if content == text and ":" not in text:
        return text
    try:
        read = yaml.safe_load(content if path.is_file() else f"{{{content}}}")
    except yaml.YAMLError as error:
        raise invalid("class_map", text, "a name, a YAML or JSON file, or 'cat: dog, dog: cat'") from error
    if not isinstance(read, dict):
        raise invalid("class_map", text, "a map of class names or ids: 'cat: dog, dog: cat'")
    return read


def read_transition(path: Path) -> np.ndarray:
    """A matrix from a .npy file, or from text with a row per line and commas or spaces between.

    Raises:
        MissingFile: no such file.
        InvalidArgument: it holds no matrix of numbers.
    """
    if not path.is_file():
        raise MissingFile(f"`transition` is {str(path)!r}, which is no file. Next: check the path.")
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False)
        return np.loadtxt(path.read_text(encoding="utf-8").replace(",", " ").splitlines(), ndmin=2)
    except (ValueError, OSError) as error:
        raise InvalidArgument(
            f"`transition` is {str(path)!r}, which holds no matrix of numbers ({error}); allowed: a .npy "
            "file, or text with a row per line. Next: correct it."
        ) from error
