"""Examples for predictions: labels are passed over, and no row is lost."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from noiseproof.core.errors import BadData, InvalidArgument, MissingFile
from noiseproof.data.examples import moved_path
from noiseproof.data.formats.table_access import table_in_memory
from noiseproof.data.request import Request
from noiseproof.data.sources import open_dataset
from noiseproof.data.unlabelled import (
    frame_examples,
    image_files,
    matrix_examples,
    open_examples,
    table_examples,
    text_examples,
)
from tiny_images import image_folder


@pytest.fixture
def photos(tmp_path):
    return image_folder(tmp_path / "photos", per_class=3)


def test_class_folders_are_the_data_set_that_a_run_opens(photos):
    """So its features are found in the store."""
    found, trained_on = open_examples(photos).dataset, open_dataset(photos)
    assert found.fingerprint == trained_on.fingerprint
    assert found.ids.tolist() == trained_on.ids.tolist()
    assert found.given_labels is None


def test_a_flat_folder_and_loose_images_beside_folders(tmp_path, photos):
    flat = tmp_path / "photos" / "dark"
    assert open_examples(str(flat)).dataset.ids.tolist() == ["00.png", "01.png", "02.png"]
    Image.new("RGB", (4, 4)).save(tmp_path / "photos" / "loose.png")
    found = open_examples(photos).dataset
    assert found.ids.tolist()[:2] == ["loose.png", "dark/00.png"]
    assert len(found) == 7


def test_files_that_are_no_known_images_are_counted(photos):
    flat = Path(photos, "dark")
    (flat / "IMG_1.HEIC").write_bytes(b"\0")
    Path(photos, "light", "IMG_2.heic").write_bytes(b"\0")
    for folder, num in ((flat, 1), (photos, 2)):
        (note,) = open_examples(str(folder)).dataset.notes
        assert note == f"Files of {folder} that are no images of a known type: {num} .heic."


def test_one_image_file_and_several(photos):
    one = open_examples(f"{photos}/dark/00.png").dataset
    assert one.examples[0].size == (16, 16)
    both = image_files([f"{photos}/dark/00.png", f"{photos}/light/00.png"], owner="images").dataset
    assert len(both) == 2


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.jsonl"])
@pytest.mark.parametrize("columns", [{}, {"label": ["a", "b"]}, {"label": [None, "b"], "id": ["x", "y"]}])
def test_tables_with_and_without_labels(tmp_path, name, columns):
    frame = pd.DataFrame({"text": ["a film", "a plot"], **columns})
    path = tmp_path / name
    write = {
        "csv": lambda: frame.to_csv(path, index=False),
        "parquet": lambda: frame.to_parquet(path),
        "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
    }
    write[name.partition(".")[2]]()
    found = open_examples(str(path)).dataset
    assert found.kind == "text"
    assert list(found.examples) == ["a film", "a plot"]
    assert found.ids.tolist() == (["x", "y"] if "id" in columns else ["t/0", "t/1"])


def test_a_missing_picture_of_a_table_is_a_row(tmp_path):
    (tmp_path / "t.csv").write_text("image\nnowhere.png\n\n")
    found = open_examples(str(tmp_path / "t.csv")).dataset
    assert found.ids.tolist() == ["nowhere.png"]
    with pytest.raises(MissingFile, match="nowhere"):
        _ = found.examples[0]


def test_matrices_of_files_arrays_and_frames(tmp_path):
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.save(tmp_path / "x.npy", rows)  # no labels beside it
    np.savez(tmp_path / "x.npz", features=rows, ids=["a", "b", "c"])
    pd.DataFrame(rows, columns=["e0", "e1"]).to_csv(tmp_path / "x.csv", index=False)
    for name in ("x.npy", "x.npz", "x.csv"):
        found = open_examples(str(tmp_path / name)).dataset
        assert found.kind == "features"
        assert np.array_equal(np.asarray(found.examples), rows)
    assert open_examples(str(tmp_path / "x.npz")).dataset.ids.tolist() == ["a", "b", "c"]
    frame = pd.DataFrame(rows, columns=["e0", "e1"], index=["p", "q", "r"])
    assert frame_examples(frame).dataset.ids.tolist() == ["p", "q", "r"]


def test_rows_that_are_not_finite_are_unusable():
    rows = np.ones((3, 2))
    rows[1, 0] = np.inf
    found = matrix_examples(rows, "row", "array")
    assert found.unusable == {1: "the features have NaN or infinity"}
    assert np.isinf(rows[1, 0])  # the user's array stays
    assert len(found.dataset) == 3


def test_texts_and_pairs_and_an_empty_one():
    found = text_examples(["a", ("b", "c"), None], owner="texts").dataset
    assert found.examples[1] == ("b", "c")
    with pytest.raises(BadData, match="empty"):
        _ = found.examples[2]
    with pytest.raises(InvalidArgument, match="entry 1"):
        text_examples(["a", 3], owner="texts")


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda home: open_examples(str(home / "nowhere")), "does not exist"),
        (lambda home: open_examples(str(home)), "holds no images"),
        (lambda home: image_files(["a.png", "a.png"], owner="images"), r"a\.png"),
        (lambda home: text_examples([], owner="texts"), "is empty"),
        (lambda home: matrix_examples(np.array(["x"]), "row", "array"), "real numbers"),
        (lambda home: frame_examples(pd.DataFrame({"other": [1]})), "no obvious image or text column"),
        (lambda home: frame_examples(pd.DataFrame({"text": []})), "is empty"),
    ],
)
def test_what_is_no_data_is_refused(tmp_path, make, match):
    with pytest.raises((BadData, MissingFile), match=match):
        make(tmp_path)


def test_encoded_images_of_a_table_are_not_read_for_the_ids():
    def column(name):
        raise AssertionError(f"column {name!r} is read as a whole")

    cells = pa.table({"image": pa.array([b"\x89PNG", b"\xff\xd8"])})
    table = replace(table_in_memory(cells, folder=Path(), stem="row"), column=column)
    found = table_examples(table, Request("table", on_error="skip"))
    assert found.dataset.ids.tolist() == ["row/0", "row/1"]


@pytest.mark.parametrize(
    ("cell", "moved"),
    [("a.jpg", "../old/a.jpg"), ("../b.jpg", "../b.jpg"), ("/c.jpg", "/c.jpg"), ("", ""), (None, None)],
)
def test_paths_of_images_are_moved_and_empty_cells_stay_empty(tmp_path, cell, moved):
    assert moved_path(cell, tmp_path / "old", tmp_path / "new") == moved


def test_words_of_empty_cells_are_noted_and_classified_all_the_same():
    found = text_examples(["nan", "N/A", "good"], owner="texts").dataset
    assert list(found.examples) == ["nan", "N/A", "good"]
    (note,) = found.notes
    assert "Texts of texts that read like empty cells, and are encoded as they are: 2 ('nan' in '0', " in note
    (note,) = frame_examples(pd.DataFrame({"text": ["nan", None]})).dataset.notes
    assert "1 ('nan' in '0')" in note


def test_bytes_that_spell_texts_in_a_data_frame_are_texts():
    found = frame_examples(pd.DataFrame({"text": [b"good", None, b"bad"]})).dataset
    assert found.kind == "text"
    assert found.examples[2] == "bad"
