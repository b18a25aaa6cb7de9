"""Class probabilities of the user's own model, from a file, in the order of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from noiseproof.core.class_names import columns_of_classes
from noiseproof.core.errors import BadData, MissingFile, invalid
from noiseproof.core.records import Dataset, rows_by_id
from noiseproof.core.storage.array_files import map_array, open_archive
from noiseproof.core.storage.parquet import read_table
from noiseproof.data.classes import type_name
from noiseproof.data.formats.columns import ID_NAMES
from noiseproof.data.formats.npz_files import ids_of_array

if TYPE_CHECKING:
    import pandas as pd

Ids = Sequence[Any] | np.ndarray
SUFFIXES = (".npy", ".npz", ".parquet")


def read_probabilities(
    path: Path, dataset: Dataset, *, argument: str = "probs", may_have_others: bool = False
) -> Float[np.ndarray, "n k"] | pd.DataFrame:
    """Probabilities of the k classes for each of the n examples of a data set.

    Columns with names come back as a data frame, in the order of the classes; a matrix without names comes
    back as it is, since its columns may be in any order.

    Args:
        path: a .npy matrix; an .npz with `probs` and, optionally, `ids` and `class_names`; or a Parquet table
            with a column per class, by its name, and optionally `example_id`. Without ids the rows are in
            the order of the data; without class names the columns are in the order of its classes.
        dataset: whose examples and classes they are of.
        may_have_others: the file may have examples that are not in the data set.

    Raises:
        MissingFile: no such file.
        BadData: ids or classes are not those of the data set; they are named.
    """
    if not path.is_file():
        raise MissingFile(f"`{argument}` is {str(path)!r}, which is no file. Next: check the path.")
    if path.suffix.lower() not in SUFFIXES:
        raise invalid(argument, str(path), f"a file that ends in {', '.join(SUFFIXES)}")
    probs, ids, names = _contents(path, argument)
    if probs.ndim != 2 or probs.dtype.kind not in "fiu":
        raise invalid(argument, f"{probs.dtype} of shape {probs.shape}", "a matrix of numbers, (n, k)")
    if names is not None and len(names) != probs.shape[1]:
        raise BadData(
            f"`{argument}` {str(path)!r} has {probs.shape[1]} columns and {len(names)} class names; they "
            "must agree. Next: save a name for every column."
        )
    places = None if names is None else columns_of_classes(names, dataset.class_names, argument)
    if ids is not None:
        probs = probs[_rows(ids, dataset, argument, may_have_others=may_have_others)]
    if len(probs) != len(dataset):
        raise BadData(
            f"`{argument}` has {len(probs)} rows, {dataset.name!r} {len(dataset)} examples; they must agree. "
            "Next: save a row for every example, or the ids of the examples with the rows."
        )
    if places is None:
        return probs
    import pandas as pd

    return pd.DataFrame(probs[:, places], columns=list(dataset.class_names))


def _contents(path: Path, argument: str) -> tuple[np.ndarray, Ids | None, Sequence[Any] | None]:
    """Matrix, ids and names of the columns, as far as the file has them."""
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return map_array(path, str(path)), None, None
    if suffix == ".parquet":
        return _of_table(path, argument)
    with open_archive(path, str(path)) as arrays:
        if "probs" not in arrays:
            raise BadData(
                f"`{argument}` {str(path)!r} has the arrays {', '.join(arrays)}; allowed: one called "
                "`probs`. Next: np.savez(file, probs=..., ids=..., class_names=...)."
            )
        names = arrays["class_names"].ravel().tolist() if "class_names" in arrays else None
        ids = ids_of_array(np.atleast_1d(arrays["ids"])) if "ids" in arrays else None
        return arrays["probs"], ids, names


def _of_table(path: Path, argument: str) -> tuple[np.ndarray, Ids | None, Sequence[str]]:
    table = read_table(path)
    key = next((name for name in ID_NAMES if name in table.schema.names), None)
    ids = None if key is None else table.column(key).to_pylist()
    classes = [name for name in table.schema.names if name not in (key, "__index_level_0__")]
    odd = [name for name in classes if not _holds_numbers(table.schema.field(name).type)]
    if odd:
        raise BadData(
            f"`{argument}` {str(path)!r} has the column {odd[0]!r} of "
            f"{type_name(table.schema.field(odd[0]).type)}; allowed: a column of numbers per class. "
            "Next: leave other columns out."
        )
    columns = [np.asarray(table.column(name), np.float64) for name in classes]
    return np.stack(columns, axis=1) if columns else np.empty((table.num_rows, 0)), ids, classes


def _holds_numbers(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_integer(kind)


def _rows(ids: Ids, dataset: Dataset, argument: str, *, may_have_others: bool) -> np.ndarray:
    """Rows of the examples of the data set."""
    rows, absent = rows_by_id(dataset.ids, ids)
    _, strange = rows_by_id(ids, dataset.ids)
    verb, named = ("misses", absent) if absent else ("has", [] if may_have_others else strange)
    if named:
        some = ", ".join(map(repr, named[:3]))
        raise BadData(
            f"`{argument}` {verb} the examples {some} ({len(named)} such); allowed: those of "
            f"{dataset.name!r}, with its ids. Next: save the probabilities of this data set."
        )
    if len({str(each) for each in ids}) < len(ids):
        raise BadData(f"`{argument}` has an id twice; allowed: each id once. Next: drop the repeats.")
    return rows
