"""Cells of classes that the data does not have yet, in the type of its label column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from noiseproof.core.errors import BadData
from noiseproof.data.classes import is_text


def with_new_classes(
    values: dict[str, pa.Array], new: Sequence[str], declared: Sequence[str] | None, owner: str
) -> dict[str, pa.Array]:
    """The cells of all classes in the columns of labels, those of the new ones last.

    Args:
        values: column -> cells of the classes of the data; a second column has names beside numbers.
        new: names of classes.
        declared: names of classes in the header of the table, which cannot take more.
        owner: name of the data set, for messages.

    Raises:
        BadData: the table cannot have such a class.
    """
    if declared is not None:
        raise _no_room(new, f"the header of {owner!r} lists its classes")
    longer = {}
    for column, cells in values.items():
        if is_text(cells.type):
            more: list[Any] = list(new)
        elif not pa.types.is_integer(cells.type):
            raise _no_room(new, f"column {column!r} of {owner!r} holds {cells.type}")
        elif len(values) == 2:  # numbers beside names: the next free ones
            first = pc.max(cells).as_py() + 1
            more = list(range(first, first + len(new)))
        else:
            more = _numbers(new, f"column {column!r} of {owner!r} holds numbers")
        longer[column] = pa.concat_arrays([cells, pa.array(more, cells.type)])
    return longer


def with_new_values(
    values: np.ndarray, new: Sequence[str], arrays: dict[str, np.ndarray], owner: str
) -> np.ndarray:
    """The values of all classes in an array of labels; `class_names` of the archive gets the new names.

    Raises:
        BadData: the labels are numbers and the archive has no names.
    """
    if values.dtype.kind in "iuf" and "class_names" in arrays:
        arrays["class_names"] = np.array([*arrays["class_names"].ravel().tolist(), *new])
        return np.arange(len(values) + len(new)).astype(values.dtype)
    if values.dtype.kind in "iuf":
        return np.append(values, _numbers(new, f"the labels of {owner!r} are numbers")).astype(values.dtype)
    if values.dtype.kind == "U":
        return np.append(values, list(new))
    raise _no_room(new, f"the labels of {owner!r} are {values.dtype}")


def _numbers(new: Sequence[str], reason: str) -> list[int]:
    try:
        return [int(name) for name in new]
    except ValueError as error:
        raise _no_room(new, reason) from error


def _no_room(new: Sequence[str], reason: str) -> BadData:
    return BadData(
        f"The new class {new[0]!r} cannot be put in: {reason}. Allowed: a new class where labels are texts. "
        "Next: save the data with the names of the classes as labels, and search again."
    )
