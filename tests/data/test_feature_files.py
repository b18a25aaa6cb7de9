"""Embeddings as people have them: .npy, archives with other names, columns of lists, numbered columns."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from noiseproof.core.errors import BadData, MissingFile, UnknownName
from noiseproof.data.sources import open_dataset

ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)
LABELS = ["b", "a", "b", "a"]


def check(dataset) -> None:
    assert dataset.kind == "features"
    assert np.array_equal(np.asarray(dataset.examples), ROWS)
    assert [dataset.class_names[label] for label in dataset.given_labels] == LABELS


# --- .npy


@pytest.mark.parametrize(
    ("features", "labels"),
    [("train_X.npy", "train_y.npy"), ("X.npy", "y.npy"), ("photos_features.npy", "photos_labels.npy"),
     ("embeddings.npy", "labels.npy"), ("photos.npy", "photos-labels.npy"), ("photos.npy", "labels.npy")],
)  # fmt: skip
def test_labels_are_found_beside_a_matrix(tmp_path, features, labels):
    np.save(tmp_path / features, ROWS)
    np.save(tmp_path / labels, LABELS)
    check(open_dataset(str(tmp_path / features)))


def test_a_file_of_labels_can_be_named(tmp_path):
    np.save(tmp_path / "a.npy", ROWS)
    np.save(tmp_path / "mine.npy", LABELS)
    np.save(tmp_path / "truth.npy", ["b", "a", "a", "a"])
    check(open_dataset(str(tmp_path / "a.npy"), label="mine.npy"))
    dataset = open_dataset(str(tmp_path / "a.npy"), label=str(tmp_path / "mine.npy"), clean_label="truth.npy")
    assert dataset.clean_labels.tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("contents", "error", "message"),
    [
        (
            {"a.npy": ROWS},
            MissingFile,
            r"no file of labels is beside it \(such as 'a_labels.npy'\)\. Next: name",
        ),
        (
            {"a.npy": ROWS, "labels.npy": np.arange(3)},
            BadData,
            r"`labels.npy` .* shape \(3,\), `features` \(4, 3",
        ),
        ({"a.npy": ROWS.ravel(), "labels.npy": np.arange(12)}, BadData, r"real numbers \(n, d\)"),
        (
            {"a.npy": ROWS, "labels.npy": np.eye(4)},
            BadData,
            r"multi-label.* save labels.npy.argmax\(axis=1\)",
        ),
    ],
)
def test_a_matrix_without_fitting_labels_is_refused(tmp_path, contents, error, message):
    for name, array in contents.items():
        np.save(tmp_path / name, array)
    with pytest.raises(error, match=message):
        open_dataset(str(tmp_path / "a.npy"))


def test_a_damaged_npy_or_a_pickle_is_refused(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY cut")
    with pytest.raises(BadData, match=r"a.npy' cannot be read: .* Allowed: an NPY file"):
        open_dataset(str(tmp_path / "a.npy"))
    np.save(tmp_path / "o.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(BadData, match=r"holds Python objects \(a pickle\)"):
        open_dataset(str(tmp_path / "o.npy"))


# --- archives


@pytest.mark.parametrize("features", ["features", "X", "x", "embeddings", "Embedding", "vectors"])
@pytest.mark.parametrize("labels", ["labels", "y", "label", "targets"])
def test_arrays_with_usual_names_are_found(tmp_path, features, labels):
    np.savez(tmp_path / "f.npz", **{features: ROWS, labels: LABELS})
    check(open_dataset(str(tmp_path / "f.npz")))


def test_arrays_that_may_be_either_are_refused(tmp_path):
    np.savez(tmp_path / "f.npz", X=ROWS, embeddings=ROWS, labels=LABELS)
    with pytest.raises(BadData, match=r"several arrays that may be the features \(X, embeddings\)"):
        open_dataset(str(tmp_path / "f.npz"))
    np.savez(tmp_path / "g.npz", features=ROWS, X=ROWS + 1, labels=LABELS)
    check(open_dataset(str(tmp_path / "g.npz")))
    np.savez(tmp_path / "h.npz", weights=ROWS, labels=LABELS)
    with pytest.raises(UnknownName, match=r"Unknown array in .* 'features'\. Known: labels, weights"):
        open_dataset(str(tmp_path / "h.npz"))


@pytest.mark.parametrize("option", ["label", "clean_label"])
def test_an_array_that_is_not_there_is_refused_although_a_usual_one_is(tmp_path, option):
    np.savez(tmp_path / "f.npz", features=np.eye(3), labels=[0, 1, 1])
    with pytest.raises(UnknownName, match=rf"option `{option}`.*'original'\. Known: features, labels"):
        open_dataset(str(tmp_path / "f.npz"), **{option: "original"})


@pytest.mark.parametrize(
    ("labels", "class_names", "shown"),
    [
        (np.array([1.0, 0.0, 1.0, 0.0]), ["cat", "dog"], ["dog", "cat", "dog", "cat"]),
        (np.array([True, False, True, False]), ["no", "yes"], ["yes", "no", "yes", "no"]),
        (np.array([1, 0, 1, 0], ">i4"), ["cat", "dog"], ["dog", "cat", "dog", "cat"]),
        (np.array([1, 0, 1, 0], ">i4"), None, ["1", "0", "1", "0"]),
        (np.array([True, False, True, False]), None, ["True", "False", "True", "False"]),
        (np.array([b"b", b"a", b"b", b"a"]), None, ["b", "a", "b", "a"]),
        (np.array([[1], [0], [1], [0]]), None, ["1", "0", "1", "0"]),
        (np.array([2.0, 10.0, 2.0, 1.0]), None, ["2", "10", "2", "1"]),
        (np.array([1.0, 0.0, 1.0, 0.0]), [0.0, 1.0], ["1", "0", "1", "0"]),
    ],
)
def test_labels_of_every_type_keep_their_names(tmp_path, labels, class_names, shown):
    named = {} if class_names is None else {"class_names": np.array(class_names)}
    np.savez(tmp_path / "f.npz", features=ROWS, labels=labels, **named)
    dataset = open_dataset(str(tmp_path / "f.npz"))
    assert [dataset.class_names[label] for label in dataset.given_labels] == shown


@pytest.mark.parametrize("dtype", [">f4", ">f8", np.longdouble, np.float16, np.int8, bool])
def test_features_of_every_type_are_read(tmp_path, dtype):
    np.savez(tmp_path / "f.npz", features=(ROWS % 2).astype(dtype), labels=LABELS)
    dataset = open_dataset(str(tmp_path / "f.npz"))
    matrix = np.asarray(dataset.examples)
    assert matrix.dtype.isnative
    assert np.array_equal(matrix, ROWS % 2)


def test_one_row_of_labels_per_example_is_named_as_multi_label(tmp_path):
    np.savez(tmp_path / "f.npz", features=ROWS, labels=np.eye(4))
    with pytest.raises(BadData, match=r"\(multi-label\) is not supported. Next: if each .* labels.argmax"):
        open_dataset(str(tmp_path / "f.npz"))


@pytest.mark.parametrize("labels", [np.array(["2020-01-01"] * 4, "M8[D]"), np.array([1j, 2j, 1j, 2j])])
def test_labels_that_are_no_classes_are_refused(tmp_path, labels):
    np.savez(tmp_path / "f.npz", features=ROWS, labels=labels)
    with pytest.raises(BadData, match=r"holds .*; allowed: whole numbers, real numbers, booleans and texts"):
        open_dataset(str(tmp_path / "f.npz"))


# --- tables


@pytest.mark.parametrize("kind", ["list", "large list", "fixed size", "float16 list", "pandas"])
@pytest.mark.parametrize("column", ["embedding", "clip"])
def test_a_column_of_lists_is_the_features(tmp_path, kind, column):
    path = tmp_path / "t.parquet"
    if kind == "pandas":
        pd.DataFrame({column: list(ROWS), "label": LABELS}).to_parquet(path)
    else:
        number = pa.float16() if kind == "float16 list" else pa.float32()
        types = {"large list": pa.large_list(number), "fixed size": pa.list_(number, 3)}
        cells = pa.array(list(ROWS.astype(number.to_pandas_dtype())), types.get(kind, pa.list_(number)))
        pq.write_table(pa.table({column: cells, "label": LABELS, "text": LABELS}), path, row_group_size=3)
    check(open_dataset(str(path)))


def test_lists_in_json_lines_are_the_features(tmp_path):
    frame = pd.DataFrame({"embedding": ROWS.tolist(), "label": LABELS})
    frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    check(open_dataset(str(tmp_path / "t.jsonl")))


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("prefix", ["e", "emb_", "", "dim."])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_numbered_columns_are_the_features_in_the_order_of_numbers(tmp_path, first, prefix, suffix):
    wide = np.arange(48, dtype=np.float32).reshape(4, 12)
    names = [f"{prefix}{number}" for number in range(first, first + 12)]
    frame = pd.DataFrame(wide, columns=names)[sorted(names)].assign(label=LABELS, text=LABELS)
    write = frame.to_csv if suffix == "csv" else frame.to_parquet
    write(tmp_path / f"t.{suffix}", index=False)
    assert np.array_equal(np.asarray(open_dataset(str(tmp_path / f"t.{suffix}")).examples), wide)


def test_few_numbered_columns_beside_texts_are_no_features(tmp_path):
    frame = pd.DataFrame({"text": LABELS, "annotator1": LABELS, "annotator2": LABELS, "label": LABELS})
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert open_dataset(str(tmp_path / "t.csv")).kind == "text"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": ROWS.tolist(), "b": ROWS.tolist()}, r"several columns that may be the features \(a, b\)"),
        ({"x1": [1] * 4, "x2": [1] * 4, "z1": [1] * 4, "z2": [1] * 4}, r"may be the features \(x1, z1\)"),
        (
            {"e": [[1.0, 2.0], [1.0], [3.0, 4.0], [5.0, 6.0]]},
            r"'e' .* has 1 numbers in row 1 \(1 such rows\), 2 in",
        ),
        ({"e": [[1.0, 2.0], None, [3.0, 4.0], [5.0, 6.0]]}, "has 0 numbers in row 1"),
        ({"e": [[1.0, 2.0], [1.0, None], [3.0, 4.0], [5.0, 6.0]]}, "has 1 empty numbers in its lists"),
        ({"e0": [1.0, None, 3.0, 4.0], "e1": [1.0] * 4}, "'e0' of .* holds None in row 1; allowed: a number"),
        ({"e0": ["1", "2", "x", "4"], "e1": ["1"] * 4}, "'e0' of .* holds 'x' in row 2"),
        (
            {"e0": ["1", "2,5", "3", "4"], "e1": ["1"] * 4},
            "holds '2,5' in row 1.*A decimal comma is not read",
        ),
        ({"e0": [1.0, float("nan"), 3.0, 4.0], "e1": [1.0] * 4}, "NaN or infinity in row 1"),
    ],
)
def test_unclear_or_broken_features_are_refused(tmp_path, columns, message):
    pq.write_table(pa.table({**columns, "label": LABELS}), tmp_path / "t.parquet")
    with pytest.raises(BadData, match=message):
        open_dataset(str(tmp_path / "t.parquet"))


def test_lists_as_labels_are_named_as_multi_label(tmp_path):
    pq.write_table(
        pa.table({"text": LABELS, "label": [["a"], ["a", "b"], [], ["b"]]}), tmp_path / "t.parquet"
    )
    with pytest.raises(BadData, match=r"holds list<.*>; .* \(multi-label\) is not supported"):
        open_dataset(str(tmp_path / "t.parquet"))
