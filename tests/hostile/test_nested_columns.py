"""Nested Parquet columns in every role: read, or refused with one sentence that names the column."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from noiseproof.core.errors import BadData
from noiseproof.data.pairs.pair_tables import ParquetPairs
from noiseproof.data.sources import open_dataset

NUM = 6
LABELS, FEATURES = pa.array(["a", "b"] * 3), pa.array([[float(row), 2.0] for row in range(NUM)])


def deep_list(levels):
    cell, kind = 1.0, pa.float32()
    for _ in range(levels):
        cell, kind = [cell], pa.list_(kind)
    return pa.array([cell] * NUM, kind)


NESTED = {
    "list of structs": pa.array([[{"a": 1.0}]] * NUM),
    "map": pa.array([[("k", 1.0)]] * NUM, pa.map_(pa.string(), pa.float32())),
    "map of bytes": pa.array([[("bytes", b"x")]] * NUM, pa.map_(pa.string(), pa.binary())),
    "list of maps": pa.array([[[("k", 1)]]] * NUM, pa.list_(pa.map_(pa.string(), pa.int64()))),
    "matrix": pa.array([[[1.0, 2.0], [3.0, 4.0]]] * NUM, pa.list_(pa.list_(pa.float32(), 2), 2)),
    "struct of structs": pa.array([{"a": {"b": 1}}] * NUM),
    "bytes that are a struct": pa.array([{"bytes": {"b": b"1"}, "path": "x"}] * NUM),
    "bytes that are a list": pa.array([{"bytes": [1, 2], "path": "x"}] * NUM),
    "a path that is a number": pa.array([{"bytes": b"x", "path": 3}] * NUM),
    "list of bytes": pa.array([[b"x"]] * NUM),
    "list of nulls": pa.array([[None]] * NUM),
    "40 levels": deep_list(40),
}


def read(path, role, column):
    if role == "pairs":
        ParquetPairs(path, caption=None, image=column)
    else:
        open_dataset(str(path), **({} if role == "features" else {role: column}))


@pytest.mark.parametrize("role", ["label", "clean_label", "image", "text", "features", "pairs"])
@pytest.mark.parametrize("nested", NESTED)
def test_a_nested_column_is_refused_by_name(tmp_path, nested, role):
    column = "features" if role == "features" else "odd"
    columns = {"label": LABELS} if role != "label" else {}
    if role in ("label", "clean_label"):
        columns["features"] = FEATURES
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({**columns, column: NESTED[nested], "caption": LABELS}), path)
    with pytest.raises(BadData, match=rf"'{column}' of .*holds .*; allowed") as caught:
        read(path, role, column)
    assert len(str(caught.value)) < 500


def test_columns_of_lists_and_of_dictionaries_are_read(tmp_path):
    path = tmp_path / "table.parquet"
    wide = pa.array([[float(row), 2.0] for row in range(NUM)], pa.large_list(pa.float64()))
    pq.write_table(pa.table({"label": LABELS.dictionary_encode(), "features": wide}), path)
    read = open_dataset(str(path))
    assert read.class_names == ("a", "b")
    assert np.asarray(read.examples[:]).tolist() == FEATURES.to_pylist()
