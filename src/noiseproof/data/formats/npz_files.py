"""NPZ archives and NPY matrices of existing features."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from noiseproof.core.errors import BadData, MissingFile
from noiseproof.core.records import LabelledDataset
from noiseproof.core.registry import unknown_name
from noiseproof.core.storage.array_files import open_archive, read_array
from noiseproof.data.formats.columns import FEATURE_NAMES, ID_NAMES, LABEL_NAMES
from noiseproof.data.formats.labelled_tables import row_ids
from noiseproof.data.formats.matrix_files import check_rows, encode_arrays, matrix_dataset
from noiseproof.data.request import Request

_IDS = ("ids", *ID_NAMES)
_LABELS = ("labels", *(name for name in LABEL_NAMES if name != "labels"), "targets")


def open_npz(address: str, request: Request) -> LabelledDataset:
    """Arrays of features (n, d) and labels (n), optionally `ids` (n) and `class_names` (k).

    Features are called `features`, `embeddings`, `X` or the like, labels `labels`, `y` or the like; `label`
    and `clean_label` may name other arrays. Whole numbers and booleans index `class_names` where that is
    given. The matrix is held in memory.

    Raises:
        BadData: an array is missing, has another length, holds objects, NaN or infinity.
    """
    request.refuse_columns("image", "text", because="is an archive of features")
    with open_archive(Path(address), request.name) as arrays:
        content = array_name(arrays, None, FEATURE_NAMES, "features", request.name)
        label = label_array(arrays, request)
        if request.clean_label is not None and request.clean_label not in arrays:
            raise _unknown_array(request.clean_label, "clean_label", arrays, request.name)
        ids = id_array(arrays)
        features = feature_rows(arrays[content], request.name, name=content)
        ids = row_ids(Path(address).stem, len(features)) if ids is None else ids
        class_names = arrays.get("class_names")
        labels = {name: arrays[name] for name in (label, request.clean_label) if name is not None}
    return _dataset(features, labels, class_names, ids, label, request)


def open_npy(address: str, request: Request) -> LabelledDataset:
    """A matrix of features (n, d) in one file and its labels (n) in another.

    Labels are in the file that `label` names, a .npy file beside the matrix or a path, else in a file beside
    it: of `train_X.npy` in `train_y.npy` or `train_labels.npy`, otherwise in `labels.npy` or `y.npy`. So are
    true labels in the file that `clean_label` names.

    Raises:
        MissingFile: there are no labels.
        BadData: a file holds objects, or lengths differ.
    """
    request.refuse_columns("image", "text", because="is a matrix of features")
    path = Path(address)
    features = feature_rows(read_array(path, request.name), request.name)
    label = request.label or _labels_beside(path).name
    files = [name for name in (label, request.clean_label) if name is not None]
    labels = {name: read_array(_file_beside(path, name), name) for name in files}
    return _dataset(features, labels, None, row_ids(path.stem, len(features)), label, request)


def label_array(names: Collection[str], request: Request) -> str:
    """Name of the array of the given labels, among those of an archive."""
    return array_name(names, request.label, _LABELS, "label", request.name)


def id_array(arrays: Any) -> np.ndarray | None:
    """The ids in an archive as texts; `None` without any."""
    named = next((name for name in _IDS if name in arrays), None)
    return None if named is None else ids_of_array(arrays[named])


def ids_of_array(values: np.ndarray) -> np.ndarray:
    """Ids as texts; bytes are read as UTF-8, with a mark where they are not."""
    return (
        np.char.decode(values, "utf-8", "backslashreplace")
        if values.dtype.kind == "S"
        else values.astype(str)
    )


def feature_rows(values: np.ndarray, owner: str, *, name: str = "features") -> np.ndarray:
    """The array, unless it is a single value."""
    if values.ndim == 0:
        raise BadData(
            f"`{name}` of {owner!r} is a single value; allowed: real numbers (n, d). Next: save a row for "
            "each example."
        )
    return values


def _dataset(
    features: np.ndarray,
    labels: dict[str, np.ndarray],
    class_names: np.ndarray | None,
    ids: np.ndarray,
    label: str,
    request: Request,
) -> LabelledDataset:
    # A matrix of labels is named by `encode_arrays`, with what to do about it.
    flat = {name: values.ravel() if values.shape[1:] == (1,) else values for name, values in labels.items()}
    for name, values in {**flat, "ids": ids}.items():
        if values.ndim < 2 or len(values) != len(features):
            check_rows(name, values, features, request.name)
    encoded, names = encode_arrays(flat, class_names, request)
    return matrix_dataset(features, request, labels=encoded, class_names=names, ids=ids, label=label)


def array_name(
    arrays: Collection[str], named: str | None, usual: Sequence[str], option: str, owner: str
) -> str:
    """The name that the user gave, else the first of the usual ones, else the only one that occurs."""
    found = [name for name in arrays if name.lower() in usual]
    if named in arrays:
        return str(named)
    if named is None and usual[0] in found:
        return usual[0]
    if named is not None or not found:
        raise _unknown_array(named or usual[0], option, arrays, owner)
    if len(found) > 1:
        raise BadData(
            f"{owner!r} has several arrays that may be the {usual[0]} ({', '.join(found)}); allowed: one of "
            f"them. Next: save the right one as {usual[0]!r}."
        )
    return found[0]


def _unknown_array(name: str, option: str, arrays: Collection[str], owner: str) -> Exception:
    return unknown_name(f"array in {owner!r} (option `{option}`):", name, arrays)


def _labels_beside(path: Path) -> Path:
    stem = path.stem
    for word in sorted(FEATURE_NAMES, key=len, reverse=True):
        if stem.lower().endswith(word):
            stem = stem[: -len(word)].rstrip("-_.")
            break
    own = [f"{stem}{mark}{word}.npy" for mark in "_-." for word in ("labels", "y", "label", "targets")]
    for name in (*(own if stem else ()), "labels.npy", "y.npy", "label.npy", "targets.npy"):
        if (path.parent / name).is_file() and name != path.name:
            return path.parent / name
    raise MissingFile(
        f"{str(path)!r} is a matrix of features, and no file of labels is beside it (such as "
        f"{own[0] if stem else 'labels.npy'!r}). Next: name one with `label` (--label labels.npy), or save "
        "both with np.savez('data.npz', features=..., labels=...)."
    )


def _file_beside(path: Path, name: str) -> Path:
    beside = path.parent / name
    return beside if beside.is_file() or not Path(name).is_file() else Path(name)
