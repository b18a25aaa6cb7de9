import numpy as np
import pandas as pd
import pytest

from noiseproof.core.errors import BadData, InvalidArgument, MissingFile
from noiseproof.data.formats.npz_files import open_npz
from noiseproof.data.formats.probabilities import read_probabilities
from noiseproof.data.request import Request

PROBS = np.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.0, 0.25, 0.75], [0.9, 0.1, 0.0]])
IDS, NAMES = ["a", "b,c", "ü", "d"], ["ant", "bee", "cat"]


@pytest.fixture
def dataset(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, features=np.eye(4), labels=[0, 1, 2, 0], ids=IDS, class_names=NAMES)
    return open_npz(str(path), Request(str(path)))


@pytest.mark.parametrize("kind", ["npy", "npz", "npz by id", "parquet", "parquet by id"])
def test_every_file_gives_the_rows_and_columns_in_the_order_of_the_data(tmp_path, dataset, kind):
    rows, columns = [2, 0, 3, 1], [1, 2, 0]
    path = tmp_path / f"p.{kind.split()[0]}"
    if kind == "npy":
        np.save(path, PROBS)
    elif kind == "npz":
        np.savez(path, probs=PROBS)
    elif kind == "npz by id":
        names = np.array(NAMES)[columns]
        np.savez(path, probs=PROBS[rows][:, columns], ids=np.array(IDS)[rows], class_names=names)
    else:
        order = rows if kind.endswith("by id") else range(4)
        frame = pd.DataFrame(PROBS[list(order)][:, columns], columns=np.array(NAMES)[columns])
        if kind.endswith("by id"):
            frame["example_id"] = np.array(IDS)[rows]
        frame.to_parquet(path)
    np.testing.assert_array_equal(read_probabilities(path, dataset), PROBS)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"ids": ["a", "b,c", "ü", "e"]}, r"`probs` misses the examples 'd' \(1 such\); allowed: those of "),
        ({"ids": ["a", "b,c", "ü", "d", "e"]}, r"`probs` has the examples 'e' \(1 such\)"),
        (
            {"class_names": ["ant", "bee", "dog"]},
            r"`probs` has no column for the class 'cat' \(1 such\); .* ant, bee, cat",
        ),
        ({"class_names": ["ant", "bee", "cat", "dog"]}, r"`probs` has a column 'dog' that is no class"),
        ({"ids": ["a", "b,c", "ü", "d", "d"]}, r"`probs` has an id twice"),
        ({"probs": PROBS[:3]}, r"`probs` has 3 rows, .* 4 examples; they must agree"),
    ],
)
def test_other_examples_and_classes_are_named(tmp_path, dataset, arrays, message):
    k, n = len(arrays.get("class_names", NAMES)), len(arrays.get("ids", IDS))
    np.savez(tmp_path / "p.npz", **{"probs": np.full((n, k), 1 / k)} | arrays)
    with pytest.raises(BadData, match=message):
        read_probabilities(tmp_path / "p.npz", dataset)


def test_of_a_part_of_the_data_the_file_may_have_the_rest_too(tmp_path, dataset):
    np.savez(tmp_path / "p.npz", probs=np.vstack([[[1, 0, 0]], PROBS]), ids=["rest", *IDS])
    found = read_probabilities(tmp_path / "p.npz", dataset, may_have_others=True)
    np.testing.assert_array_equal(found, PROBS)


def test_files_that_hold_no_matrix_are_refused(tmp_path, dataset):
    with pytest.raises(MissingFile, match=r"`zero_shot` is .* which is no file"):
        read_probabilities(tmp_path / "none.npy", dataset, argument="zero_shot")
    (tmp_path / "p.csv").write_text("0.5,0.5")
    with pytest.raises(InvalidArgument, match=r"allowed: a file that ends in \.npy, \.npz, \.parquet"):
        read_probabilities(tmp_path / "p.csv", dataset)
    np.savez(tmp_path / "p.npz", scores=PROBS)
    with pytest.raises(BadData, match="has the arrays scores; allowed: one called `probs`"):
        read_probabilities(tmp_path / "p.npz", dataset)
    np.save(tmp_path / "p.npy", np.array(["a"]))
    with pytest.raises(InvalidArgument, match=r"allowed: a matrix of numbers, \(n, k\)"):
        read_probabilities(tmp_path / "p.npy", dataset)
    np.save(tmp_path / "o.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(BadData, match="cannot be read"):
        read_probabilities(tmp_path / "o.npy", dataset)
