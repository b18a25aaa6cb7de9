"""What people pass as a matrix or as labels, and what they get."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from noiseproof.core.arrays import as_labels, as_matrix
from noiseproof.core.errors import BadData, InvalidArgument

ROWS = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.5]])


@pytest.mark.parametrize(
    "value",
    [
        ROWS, ROWS.tolist(), ROWS.astype(">f8"), ROWS.astype(np.longdouble), np.ma.masked_array(ROWS),
        np.asmatrix(ROWS), ROWS.astype(object),
        torch.tensor(ROWS), torch.tensor(ROWS, requires_grad=True), torch.tensor(ROWS).bfloat16(),
        torch.tensor(ROWS).to_sparse(), [torch.tensor(row, requires_grad=True) for row in ROWS],
        scipy.sparse.csr_matrix(ROWS), scipy.sparse.coo_array(ROWS),
        pd.DataFrame(ROWS), pd.DataFrame(ROWS).astype({0: "Float64", 1: object}), pd.Series(list(ROWS)),
        pd.Series([tuple(row) for row in ROWS]),
    ],
)  # fmt: skip
def test_matrices_of_every_kind_are_read(value):
    matrix = as_matrix(value, "features")
    assert np.array_equal(matrix, ROWS)
    assert matrix.dtype.isnative
    assert matrix.dtype.itemsize <= 8


def test_an_array_is_not_copied(tmp_path):
    assert as_matrix(ROWS, "features") is ROWS
    np.save(tmp_path / "a.npy", ROWS)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert as_matrix(mapped, "features") is mapped


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[1.0, 2.0], [3.0]], "`features` has 1 numbers in row 1 and 2 in row 0; allowed: rows of one"),
        (pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), "`features` has 'x' in row 0 of column 'b'; allowed"),
        (np.ma.masked_invalid([[1.0], [np.nan]]), "a masked array with a masked value in row 1"),
        (scipy.sparse.csr_matrix((10**6, 10**6)), "a sparse matrix of shape.*fits into 4 GiB.*TruncatedSVD"),
    ],
)
def test_other_matrices_are_refused(value, message):
    with pytest.raises((BadData, InvalidArgument), match=message):
        as_matrix(value, "features")


def test_a_missing_number_in_a_nullable_column_is_nan():
    frame = pd.DataFrame({"a": pd.array([1.0, None], "Float64"), "b": [1.0, 2.0]})
    assert np.isnan(as_matrix(frame, "features")[1, 0])


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (torch.tensor([1, 0]), "i"), (np.array([1, 0], ">i4"), "i"), (pd.Series([1, 0], dtype="Int64"), "i"),
        (pd.Series([True, False], dtype="boolean"), "b"), (pd.Series(["b", "a"], dtype="string"), "OU"),
        (pd.Series(["b", "a"]).astype("category"), "OU"), (["b", "a"], "U"), (np.array([2.5, 1.5]), "f"),
    ],
)  # fmt: skip
def test_labels_of_every_kind_are_read(value, kind):
    labels = as_labels(value)
    assert labels.dtype.kind in kind
    assert labels.dtype.isnative
    assert labels.tolist() == list(np.asarray(value).tolist())


@pytest.mark.parametrize(
    "value",
    [
        [None, "cat"], [float("nan"), 1.0], pd.Series([pd.NA, "a"], dtype="string"),
        pd.Series([pd.NA, True], dtype="boolean"), pd.Series([pd.NA, 3], dtype="Int64"),
        pd.Series(pd.to_datetime([None, "2020-01-01"])), pd.Series([None, "a"]).astype("category"),
        [pd.NaT, "a"],
    ],
)  # fmt: skip
def test_a_missing_label_is_named(value):
    with pytest.raises(BadData, match=r"`given_labels` has no label in row 0 \(1 such rows in all\)"):
        as_labels(value)


@pytest.mark.parametrize(
    "value", [[[1, 2], [0]], [("a", "b"), ("a",)], [{"a"}, {"b"}], pd.Series([["a"], ["b", "c"]]), np.eye(3)]
)
def test_several_labels_for_an_example_are_named_as_multi_label(value):
    with pytest.raises(InvalidArgument, match=r"several labels per example \(multi-label\) is not supported"):
        as_labels(value)


def test_labels_in_a_column_are_told_what_to_do():
    with pytest.raises(InvalidArgument, match=r"is \(3, 1\); .* Next: pass given_labels.ravel\(\)"):
        as_labels(np.zeros((3, 1), int))


def test_masked_labels_are_refused():
    with pytest.raises(InvalidArgument, match="masked value in row 2"):
        as_labels(np.ma.masked_equal([0, 1, 5], 5))
