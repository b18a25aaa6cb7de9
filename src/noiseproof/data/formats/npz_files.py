"""NPZ archives of existing features."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from noiseproof.core.checks import check_finite
from noiseproof.core.errors import BadData
from noiseproof.core.records import LabelledDataset
from noiseproof.core.registry import unknown_name
from noiseproof.data.classes import encode_labels
from noiseproof.data.examples import Rows
from noiseproof.data.fingerprints import matrix_fingerprint
from noiseproof.data.formats.labelled_tables import row_ids
from noiseproof.data.request import Request


def open_npz(address: str, request: Request) -> LabelledDataset:
    """Arrays `features` (n, d) and `labels` (n), optionally `ids` (n) and `class_names` (k).

    `label` and `clean_label` may name other arrays. Integer labels index `class_names` where that is
    given. The matrix is held in memory.

    Raises:
        BadData: an array is missing, has another length, holds objects, NaN or infinity.
    """
    request.refuse_columns("image", "text", because="is an archive of features")
    arrays = read_arrays(Path(address), request.name)
    label = request.label or "labels"
    for name, option in (("features", "features"), (label, "label"), (request.clean_label, "clean_label")):
        if name is not None and name not in arrays:
            raise unknown_name(f"array in {request.name!r} (option `{option}`):", name, arrays)
    features = _features(arrays["features"], request.name)
    n = len(features)
    ids = arrays["ids"].astype(str) if "ids" in arrays else row_ids(Path(address).stem, n)
    columns = {name: arrays[name] for name in (label, request.clean_label) if name is not None}
    for name, values in {**columns, "ids": ids}.items():
        if values.shape != (n,):
            raise BadData(
                f"`{name}` of {request.name!r} has shape {values.shape}, `features` {features.shape}; "
                f"allowed: ({n},). Next: save a value per row of the features."
            )
    labels, class_names = _labels(columns, arrays.get("class_names"), request.name)
    return LabelledDataset(
        name=request.name,
        kind="features",
        examples=Rows(features),
        ids=ids,
        given_labels=labels[label],
        class_names=class_names,
        fingerprint=matrix_fingerprint(features, ids),
        clean_labels=labels[request.clean_label] if request.clean_label else None,
    )


def read_arrays(path: Path, owner: str) -> dict[str, np.ndarray]:
    """The arrays of an NPZ by name, read without running code from it.

    Raises:
        BadData: it is no NPZ, or holds objects.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, zipfile.BadZipFile, OSError, EOFError, AttributeError) as error:
        is_pickle = "allow_pickle" in str(error)
        problem = "holds Python objects (a pickle), which can run code when read" if is_pickle else f"{error}"
        raise BadData(
            f"{owner!r} cannot be read: {problem}. Allowed: an NPZ of numeric and text arrays. Next: save it "
            "again with np.savez, texts as arrays of dtype str."
        ) from error


def _features(features: np.ndarray, owner: str) -> np.ndarray:
    if features.ndim != 2 or features.shape[1] == 0 or features.dtype.kind not in "fiub":
        raise BadData(
            f"`features` of {owner!r} has shape {features.shape} and dtype {features.dtype}; allowed: real "
            "numbers (n, d), d at least 1. Next: flatten each example to one row."
        )
    if features.dtype.kind != "f":
        features = features.astype(np.float32)
    check_finite(features, f"features of {owner}")
    _check_float32(features, owner)
    return features


def _check_float32(features: np.ndarray, owner: str) -> None:
    """Heads and stored features are float32; beyond its range they would be infinite."""
    if features.dtype.itemsize <= 4:
        return
    limit = np.finfo(np.float32).max
    rows = np.flatnonzero((np.abs(features) > limit).any(axis=1))
    if len(rows):
        raise BadData(
            f"`features` of {owner!r} has a value of {np.abs(features[rows[0]]).max():.3g} in row {rows[0]} "
            f"({len(rows)} such rows), outside the range of float32; allowed: -{limit:.3g} to {limit:.3g}. "
            "Next: scale the features."
        )


def _labels(
    columns: dict[str, np.ndarray], class_names: np.ndarray | None, owner: str
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    are_numbers = all(values.dtype.kind in "iu" for values in columns.values())
    if class_names is not None and are_numbers:  # the record checks their range
        return {name: values.astype(np.int64) for name, values in columns.items()}, tuple(
            map(str, class_names)
        )
    return encode_labels(
        {name: pa.chunked_array([pa.array(values)]) for name, values in columns.items()}, owner=owner
    )
