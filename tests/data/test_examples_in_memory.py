"""What `predict` takes in Python: pictures, texts and features in whatever holds them."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.sparse import csr_matrix

from noiseproof.core.errors import BadData, InvalidArgument
from noiseproof.data.unlabelled import examples_in_memory

TEXTS = ["good", "bad"]
ROWS = np.arange(6.0).reshape(2, 3)


@pytest.fixture
def paths(tmp_path):
    for number in range(2):
        Image.new("RGB", (4, 3), (90 * number, 0, 0)).save(tmp_path / f"{number}.png")
    return sorted(tmp_path.iterdir())


@pytest.mark.parametrize(
    "data",
    [TEXTS, tuple(TEXTS), np.array(TEXTS), np.array(TEXTS, object), (text for text in TEXTS),
     {"a": "good", "b": "bad"}.values(), pd.Series(TEXTS), pd.Index(TEXTS)],
    ids=lambda data: type(data).__name__,
)  # fmt: skip
def test_texts(data):
    found = examples_in_memory(data, kind="text").dataset
    assert list(found.examples) == TEXTS
    assert found.ids.tolist() == ["0", "1"]


def test_the_index_of_a_series_is_the_ids():
    series = pd.Series(TEXTS, index=["a,b", "c"], name="whatever")
    assert examples_in_memory(series, kind="text").dataset.ids.tolist() == ["a,b", "c"]


@pytest.mark.parametrize(
    "pairs", [[("a", "b"), ("c", "d")], [["a", "b"], ["c", "d"]], np.array([["a", "b"], ["c", "d"]])]
)
def test_pairs_of_texts(pairs):
    assert list(examples_in_memory(pairs, kind="text").dataset.examples) == [("a", "b"), ("c", "d")]


@pytest.mark.parametrize("hold", [list, iter, np.array, pd.Series, lambda paths: np.array(paths, object)])
def test_paths_of_images(paths, hold):
    found = examples_in_memory(hold([str(path) for path in paths]), kind="image").dataset
    assert [image.getpixel((0, 0))[0] for image in found.examples] == [0, 90]
    assert examples_in_memory(iter(paths), kind="image").dataset.ids.tolist() == [str(path) for path in paths]


def test_pictures_are_seen_as_their_files_are(paths):
    pictures = [Image.open(path) for path in paths]
    files, found = (examples_in_memory(each, kind="image").dataset for each in (paths, pictures))
    assert found.ids.tolist() == ["0", "1"]
    for one, other in zip(files.examples, found.examples, strict=True):
        assert one.tobytes() == other.tobytes()
    alone = examples_in_memory(pictures[1], kind="image").dataset
    assert alone.examples[0].tobytes() == found.examples[1].tobytes()


def test_a_closed_picture_is_a_row_with_a_reason(paths):
    with Image.open(paths[0]) as closed:
        pass
    found = examples_in_memory([closed, Image.open(paths[1])], kind="image").dataset
    with pytest.raises(BadData, match="cannot be read"):
        found.examples[0]
    assert found.examples[1].size == (4, 3)


@pytest.mark.parametrize(
    "rows",
    [ROWS, ROWS.tolist(), list(ROWS), iter(ROWS), torch.tensor(ROWS, requires_grad=True),
     list(torch.tensor(ROWS)), torch.tensor(ROWS).bfloat16(), csr_matrix(ROWS), ROWS.astype(object),
     pd.Series(list(ROWS)), ROWS.astype(int)],
    ids=lambda rows: type(rows).__name__,
)  # fmt: skip
def test_features(rows):
    found = examples_in_memory(rows, kind="features").dataset
    assert np.asarray(found.examples).tolist() == ROWS.tolist()
    assert found.ids.tolist() == ["row/0", "row/1"]


@pytest.mark.parametrize("kind", ["image", "text", "features"])
@pytest.mark.parametrize("data", [{"features": [1]}, 5, None, b"a.png"])
def test_other_things_are_refused_with_what_is_allowed(data, kind):
    with pytest.raises(
        InvalidArgument, match=r"`data` is .*allowed: a path, a list of paths, pictures or texts"
    ):
        examples_in_memory(data, kind=kind)


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((2, 8, 8, 3), np.uint8), torch.zeros(2, 3, 8, 8), [np.zeros((8, 8, 3)), np.zeros((9, 8, 3))]],
)
def test_arrays_of_pixels_are_refused_with_the_next_step(pixels):
    with pytest.raises(
        InvalidArgument, match=r"an array of shape \(.*; allowed: paths.*entry 0. Next: PIL.Image.fromarray"
    ):
        examples_in_memory(pixels, kind="image")


def test_a_list_of_paths_and_other_things_is_refused(paths):
    with pytest.raises(
        InvalidArgument, match=r"`data` is 5; allowed: paths of images alone, .*It is entry 1"
    ):
        examples_in_memory([str(paths[0]), 5], kind="image")


@pytest.mark.parametrize(("kind", "data"), [("text", []), ("image", []), ("features", np.empty((0, 3)))])
def test_nothing_is_refused(kind, data):
    with pytest.raises(BadData, match=r"empty|shape"):
        examples_in_memory(data, kind=kind)
