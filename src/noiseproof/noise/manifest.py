"""Noise manifests: injected noise on disk, so that others can train on it and check it.

```
DIR/noise.json              written last: kind, rates, transition matrix, seed, of which data, SHA-256
DIR/noise-0123456789abcdef.parquet   a row per example: example_id, given, clean, flipped
```

The SHA-256 covers every value of both files, not their bytes, so that another version of Parquet's writer
changes nothing, and not the name of the data set, which is as the user typed it. It names the table, so that
the two files always fit and replacing a manifest is one rename.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Float

from noiseproof.core.checks import check_unique_ids
from noiseproof.core.errors import BadData, DamagedFile, MissingFile
from noiseproof.core.records import NoisyCaptions, NoisyLabels, rows_by_id
from noiseproof.core.storage.checksums import read_record, write_record
from noiseproof.core.storage.documents import Document, read_document
from noiseproof.core.storage.files import replacing
from noiseproof.core.storage.inner_paths import InnerPath, inner_path
from noiseproof.core.storage.parquet import read_table

FILE = "noise.json"
_NOT_HASHED = ("data_name", "num_examples", "files", "sha256")
_MAKE_AGAIN = "get it again, or make it again with the same kind, rate and seed"


class NoiseHeader(Document):
    """`noise.json`; see `NoiseManifest` for the meaning of most keys.

    Attributes:
        num_examples: rows of the table.
        files: names of other files in the folder that belong to the manifest.
        sha256: over this header and the table; the table is named by it.
    """

    SCHEMA: ClassVar[int] = 2
    kind: str
    asked_rate: float
    realised_rate: float
    transition: list[list[float]] | None
    example_entropy_nats: float | None
    seed: int
    data_name: str
    data_fingerprint: str
    class_names: tuple[str, ...]
    num_examples: int
    files: tuple[InnerPath, ...] = ()
    sha256: str


@dataclass(frozen=True, eq=False)
class NoiseManifest:
    """Noise that was injected into a data set, as read from disk.

    Attributes:
        ids: n example ids.
        given: class ids or captions to train on, in the order of `ids`.
        clean: labels or captions before noise.
        flipped: labels that differ, or rows that have the caption of another.
        kind: name of the noise; "captions" for swapped captions.
        asked_rate: in [0, 1].
        realised_rate: share of `flipped`.
        transition: row-stochastic `T[i, j] = P(given = j | clean = i)` as realised; `None` for captions.
        seed: of the draw.
        data_name: as the user wrote it.
        data_fingerprint: SHA-256 over the contents and ids of the examples.
        class_names: of the class ids, where they were known.
        example_entropy_nats: see `NoisyLabels`.
        sha256: identifies all of the above but `data_name`.
    """

    ids: np.ndarray
    given: np.ndarray
    clean: np.ndarray
    flipped: Bool[np.ndarray, " n"]
    kind: str
    asked_rate: float
    realised_rate: float
    transition: Float[np.ndarray, "k k"] | None
    seed: int
    data_name: str
    data_fingerprint: str
    class_names: tuple[str, ...]
    example_entropy_nats: float | None
    sha256: str

    def given_for(
        self, ids: Sequence[str] | np.ndarray, *, data_fingerprint: str | None = None
    ) -> np.ndarray:
        """Labels or captions to train on for these examples, in their order.

        Args:
            ids: some or all of the examples.
            data_fingerprint: of the whole data set they are from; compared where it is given.

        Raises:
            BadData: the manifest was made for other data, or does not have an example.
        """
        return self.given[self.rows(ids, data_fingerprint)]

    def clean_for(
        self, ids: Sequence[str] | np.ndarray, *, data_fingerprint: str | None = None
    ) -> np.ndarray:
        """Labels or captions before noise, see `given_for`."""
        return self.clean[self.rows(ids, data_fingerprint)]

    def as_labels(self) -> NoisyLabels:
        """The manifest as noisy labels; for manifests of labels only."""
        assert self.transition is not None
        return NoisyLabels(
            given=self.given,
            clean=self.clean,
            flipped=self.flipped,
            kind=self.kind,
            asked_rate=self.asked_rate,
            transition=self.transition,
            seed=self.seed,
            example_entropy_nats=self.example_entropy_nats,
        )

    def rows(self, ids: Sequence[str] | np.ndarray, data_fingerprint: str | None) -> np.ndarray:
        """Rows of these examples in the manifest, see `given_for`."""
        if data_fingerprint is not None and data_fingerprint != self.data_fingerprint:
            raise BadData(
                f"The noise manifest was made for {self.data_name!r} with the fingerprint "
                f"{self.data_fingerprint[:16]}..., this data set has {data_fingerprint[:16]}...; allowed: "
                "the same examples. Next: name the data set it was made for, or corrupt this one."
            )
        rows, absent = rows_by_id(ids, self.ids)
        if absent:
            raise BadData(
                f"The noise manifest of {self.data_name!r} has no example {absent[0]!r} "
                f"({len(absent)} of {len(ids)} are not in it); allowed: ids it was made with, such as "
                f"{self.ids[0]!r}. Next: name the data set it was made for, or corrupt this one."
            )
        return rows


def write_manifest(
    folder: str | Path,
    noisy: NoisyLabels | NoisyCaptions,
    *,
    ids: Sequence[str] | np.ndarray,
    data_name: str,
    data_fingerprint: str,
    class_names: Sequence[str] = (),
    files: Sequence[str] = (),
) -> str:
    """Keep noise on disk; the same noise gives the same bytes.

    Args:
        folder: made if need be; a manifest that is there is replaced.
        noisy: what `corrupt_labels` or `swap_captions` gave.
        ids: of the n examples, in the same order.
        data_name: of the data set, for people.
        data_fingerprint: of the data set, for the check.
        class_names: of the class ids, where they are known.
        files: names of other files in the folder that belong to it: a copy with the new captions.

    Returns:
        SHA-256 in hexadecimal digits, which identifies the manifest.

    Raises:
        BadData: ids that are not unique or as many as the labels.
    """
    folder = Path(folder)
    header, table, digest = _contents(noisy, ids, data_name, data_fingerprint, class_names)
    path = folder / _table_name(digest)
    with replacing(path) as partial:
        pq.write_table(table, partial, compression="zstd")
    write_record(folder / FILE, header | {"num_examples": len(table), "files": list(files), "sha256": digest})
    for old in folder.glob("noise-" + "[0-9a-f]" * 16 + ".parquet"):
        if old != path:
            old.unlink(missing_ok=True)
    return digest


def manifest_files(digest: str) -> tuple[str, str]:
    """Names of the two files of a manifest with this hash, the one that makes it complete last."""
    return _table_name(digest), FILE


def manifest_sha256(
    noisy: NoisyLabels | NoisyCaptions,
    *,
    ids: Sequence[str] | np.ndarray,
    data_name: str,
    data_fingerprint: str,
    class_names: Sequence[str] = (),
) -> str:
    """SHA-256 that `write_manifest` returns; nothing is written."""
    return _contents(noisy, ids, data_name, data_fingerprint, class_names)[2]


def load_manifest(folder: str | Path) -> NoiseManifest:
    """Read and check a manifest.

    Raises:
        MissingFile: the folder has no manifest.
        DamagedFile: it is not what was written: the hash does not fit the data, or a file cannot be read.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        raise MissingFile(
            f"`noise_manifest` is {str(folder)!r}, which has no {FILE}; allowed: a folder that "
            "'noiseproof corrupt' wrote. Next: check the path."
        )
    header = read_document(path, NoiseHeader, next_step=_MAKE_AGAIN)
    place = inner_path(path.parent, _table_name(header.sha256))
    try:
        table = read_table(place)
        digest = _digest(read_record(path, next_step=_MAKE_AGAIN), table)
        manifest = _manifest(header, table)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise _damaged(path, f"its table {place.name!r} cannot be read ({error})") from error
    if digest != header.sha256:
        raise _damaged(
            path,
            f"the SHA-256 of its contents and of {place.name!r} is {digest[:16]}..., its header has "
            f"{header.sha256[:16]}...",
        )
    if header.num_examples != len(table):
        raise _damaged(path, f"it has {len(table)} examples, its header has {header.num_examples}")
    return manifest


def _contents(
    noisy: NoisyLabels | NoisyCaptions,
    ids: Sequence[str] | np.ndarray,
    data_name: str,
    data_fingerprint: str,
    class_names: Sequence[str],
) -> tuple[dict[str, Any], pa.Table, str]:
    """Header, table, and the SHA-256 over both."""
    table = _table(noisy, ids, data_name)
    header = _header(noisy, data_name, data_fingerprint, class_names)
    return header, table, _digest(header, table)


def _table(noisy: NoisyLabels | NoisyCaptions, ids: Sequence[str] | np.ndarray, data_name: str) -> pa.Table:
    ids = np.array([str(each) for each in ids], object)
    if len(ids) != len(noisy.clean):
        raise BadData(f"`ids` has {len(ids)} rows, the noise {len(noisy.clean)}; they must agree.")
    check_unique_ids(ids.astype(str), data_name)
    if isinstance(noisy, NoisyCaptions):
        changed, kind = noisy.swapped, pa.large_string()
    else:
        changed, kind = noisy.flipped, pa.int64()
    return pa.table(
        {
            "example_id": pa.array(ids, pa.large_string()),
            "given": pa.array(noisy.given, kind),
            "clean": pa.array(noisy.clean, kind),
            "flipped": pa.array(changed, pa.bool_()),
        }
    )


def _header(
    noisy: NoisyLabels | NoisyCaptions, data_name: str, data_fingerprint: str, class_names: Sequence[str]
) -> dict[str, Any]:
    return {
        "kind": noisy.kind,
        "asked_rate": noisy.asked_rate,
        "transition": None if noisy.transition is None else noisy.transition.tolist(),
        "example_entropy_nats": noisy.example_entropy_nats,
        "schema": NoiseHeader.SCHEMA,
        "realised_rate": noisy.realised_rate,
        "seed": noisy.seed,
        "data_name": data_name,
        "data_fingerprint": data_fingerprint,
        "class_names": list(class_names),
    }


def _digest(header: dict[str, Any], table: pa.Table) -> str:
    """SHA-256 over the header as JSON and over every value of the table, each with its length before it.

    The name of the data set is left out, since it depends on how it was typed, `photos` or `photos/`.
    """
    covered = {key: value for key, value in header.items() if key not in _NOT_HASHED}
    digest = hashlib.sha256(json.dumps(covered, sort_keys=True, allow_nan=False).encode())
    for name in ("example_id", "given", "clean", "flipped"):
        column = table.column(name)
        digest.update(f"{name} {len(column)} ".encode())
        if pa.types.is_large_string(column.type):
            for text in column.to_pylist():
                content = text.encode()
                digest.update(len(content).to_bytes(8, "little") + content)
        else:
            values = column.to_numpy()
            digest.update(values.astype("<i8" if name != "flipped" else "u1").tobytes())
    return digest.hexdigest()


def _manifest(header: NoiseHeader, table: pa.Table) -> NoiseManifest:
    transition = header.transition
    return NoiseManifest(
        ids=_values(table, "example_id"),
        given=_values(table, "given"),
        clean=_values(table, "clean"),
        flipped=table.column("flipped").to_numpy(),
        transition=None if transition is None else np.array(transition, np.float64),
        **header.model_dump(exclude={"transition", "num_examples", "files"}),
    )


def _values(table: pa.Table, name: str) -> np.ndarray:
    column = table.column(name)
    return (
        np.array(column.to_pylist(), object) if pa.types.is_large_string(column.type) else column.to_numpy()
    )


def _table_name(digest: str) -> str:
    return f"noise-{digest[:16]}.parquet"


def _damaged(path: Path, reason: str) -> DamagedFile:
    return DamagedFile(
        f"The noise manifest {str(path)!r} is damaged: {reason}. Allowed: what 'noiseproof corrupt' wrote, "
        f"unchanged. Next: {_MAKE_AGAIN}."
    )
