"""Several memory-mapped shards as one (n, d) array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.lib.mixins import NDArrayOperatorsMixin

Rows = Float[np.ndarray, "m d"]


class ShardedMatrix(NDArrayOperatorsMixin):
    """Read-only (n, d) float32 whose rows come from disk when they are touched.

    Rows can be taken by number, slice, integer array or boolean mask, columns by a second index; arithmetic
    and every numpy function work on it and give plain arrays. `np.asarray` reads all of it: for matrices
    larger than memory go through `blocks`. float16 shards are read as float32.

    Args:
        shards: matrices of the same width, one after the other; arrays, or whatever has a shape and gives
            rows by slice and by integer array.
        rows: numbers of the rows it has, in their order; all by default.
    """

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, shards: Sequence[Any], *, rows: np.ndarray | None = None) -> None:
        self._shards = tuple(shards)
        self._ends = np.cumsum([len(shard) for shard in self._shards])
        self._rows = rows
        self.shape = (int(self._ends[-1]) if rows is None else len(rows), self._shards[0].shape[1])

    @property
    def size(self) -> int:
        """How many numbers."""
        return self.shape[0] * self.shape[1]

    @property
    def nbytes(self) -> int:
        """Size in memory as float32."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (row for _, block in self.blocks() for row in block)

    def __repr__(self) -> str:
        return f"ShardedMatrix(shape={self.shape}, dtype=float32, num_shards={len(self._shards)})"

    def blocks(self, num_rows: int = 4096) -> Iterator[tuple[int, Rows]]:
        """(first row, rows) for consecutive blocks of at most this many rows."""
        for start in range(0, len(self), num_rows):
            yield start, self._between(start, min(start + num_rows, len(self)))

    def rows(self, index: Any) -> ShardedMatrix:
        """These rows, still on disk; `matrix[index]` would read them.

        Args:
            index: row numbers or a mask.
        """
        numbers = self._row_numbers(np.asarray(index))
        return ShardedMatrix(self._shards, rows=numbers if self._rows is None else self._rows[numbers])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: FBT001
        if copy is False and (len(self._shards) > 1 or self._rows is not None):
            raise ValueError(
                "Rows of several shards, or chosen rows, cannot become one array without a copy."
            )
        whole = self._between(0, len(self))
        return np.array(whole, dtype=dtype) if copy else whole.astype(dtype or self.dtype, copy=False)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        plain = (np.asarray(each) if isinstance(each, ShardedMatrix) else each for each in inputs)
        return getattr(ufunc, method)(*plain, **kwargs)

    def __getitem__(self, key: Any) -> Any:
        rows, *columns = key if isinstance(key, tuple) else (key,)
        is_simple = len(columns) == 0 or (
            len(columns) == 1 and isinstance(columns[0], (slice, int, np.integer))
        )
        if (
            isinstance(rows, (int, np.integer))
            and not isinstance(rows, (bool, np.bool_))
            and len(columns) <= 1
        ):
            index = _checked(int(rows), len(self))
            return self._between(index, index + 1)[(0, *columns)]
        if isinstance(rows, slice) and len(columns) <= 1:
            start, stop, step = rows.indices(len(self))
            if step == 1:
                return self._between(start, max(start, stop))[(slice(None), *columns)]
            return self._gathered(np.arange(start, stop, step))[(slice(None), *columns)]
        if isinstance(rows, (list, np.ndarray)) and np.ndim(rows) == 1 and is_simple:
            return self._gathered(self._row_numbers(np.asarray(rows)))[(slice(None), *columns)]
        return np.asarray(self)[key]  # the other kinds of index are rare: leave them to numpy

    def _row_numbers(self, rows: np.ndarray) -> np.ndarray:
        if rows.dtype == bool:
            if len(rows) != len(self):
                raise IndexError(f"A mask of {len(rows)} rows cannot choose from {len(self)}.")
            return np.flatnonzero(rows)
        if len(rows) == 0:
            return np.empty(0, dtype=np.int64)
        if not np.issubdtype(rows.dtype, np.integer):
            raise IndexError(f"Rows are chosen by integers or booleans, not by {rows.dtype}.")
        _checked(int(rows.min()), len(self))
        _checked(int(rows.max()), len(self))
        return np.where(rows < 0, rows + len(self), rows)

    def _between(self, start: int, stop: int) -> Rows:
        """Consecutive rows; a view of the file where they lie in one float32 shard."""
        if self._rows is not None:
            return self._gathered(np.arange(start, stop))
        parts = []
        for shard, end in zip(self._shards, self._ends, strict=True):
            begin = int(end) - len(shard)
            if start < end and begin < stop:
                parts.append(shard[max(start - begin, 0) : stop - begin])
        if len(parts) == 1:
            return np.asarray(parts[0]).astype(self.dtype, copy=False)
        whole = np.empty((stop - start, self.shape[1]), dtype=self.dtype)
        return np.concatenate(parts, out=whole, casting="same_kind") if parts else whole

    def _gathered(self, rows: np.ndarray) -> Rows:
        if self._rows is not None:
            rows = self._rows[rows]
        chosen = np.empty((len(rows), self.shape[1]), dtype=self.dtype)
        homes = np.searchsorted(self._ends, rows, side="right")
        for home in np.unique(homes):
            shard = self._shards[home]
            is_here = homes == home
            chosen[is_here] = shard[rows[is_here] - (self._ends[home] - len(shard))]
        return chosen


def _checked(row: int, num_rows: int) -> int:
    if not -num_rows <= row < num_rows:
        raise IndexError(f"Row {row} is outside a matrix of {num_rows} rows.")
    return row % num_rows
