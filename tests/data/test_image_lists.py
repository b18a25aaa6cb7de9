import pytest
import tiny_public

from noiseproof.core.errors import BadData, MissingFile
from noiseproof.data.sources import open_dataset


@pytest.fixture
def lists(tmp_path):
    tiny_public.make_domain(tmp_path)
    return tmp_path / "domainnet"


def test_paths_may_have_spaces_and_classes_are_called_by_their_folders(lists):
    dataset = open_dataset(str(lists / "sketch_train.txt"))
    assert dataset.class_names == ("aircraft_carrier", "The Eiffel Tower")
    assert dataset.ids[1] == "sketch/The Eiffel Tower/sketch_001_000001.jpg"
    assert dataset.given_labels.tolist() == [0, 1, 0, 1]
    assert dataset.examples[1].size == (12, 10)


def test_classes_that_share_a_folder_are_called_by_their_ids(lists):
    for name in ("a", "b"):
        tiny_public.picture(lists / "flat" / f"{name}.jpg")
    (lists / "flat.txt").write_text("flat/a.jpg 7\n\nflat/b.jpg 11\n")
    dataset = open_dataset(str(lists / "flat.txt"))
    assert dataset.class_names == ("7", "11")
    assert dataset.given_labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    "line", ["sketch/bee/1.jpg", "sketch/bee/1.jpg bee", "17", "sketch/bee/1.jpg -1", "sketch/bee/1.jpg 1.5"]
)
def test_a_line_without_a_class_id_is_named(lists, line):
    path = lists / "sketch_test.txt"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(
        BadData, match=rf"Line 3 of '.*' is '{line}'; allowed: a path, a space and a class id"
    ):
        open_dataset(str(path))


def test_a_path_that_comes_twice_is_refused(lists):
    path = lists / "sketch_test.txt"
    path.write_text(path.read_text() * 2)
    with pytest.raises(BadData, match="duplicate ids: 'sketch/"):
        open_dataset(str(path))


def test_an_absent_image_is_named(lists):
    (lists / "sketch" / "The Eiffel Tower" / "sketch_001_000003.jpg").unlink()
    with pytest.raises(MissingFile, match=r"Example 'sketch/The Eiffel Tower/sketch_001_000003\.jpg' of"):
        open_dataset(str(lists / "sketch_test.txt"))


def test_an_empty_list_and_a_binary_file_are_refused(lists):
    (lists / "empty.txt").write_text("\n")
    with pytest.raises(BadData, match="is empty; allowed: a line per image"):
        open_dataset(str(lists / "empty.txt"))
    (lists / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadData, match="cannot be read as text"):
        open_dataset(str(lists / "binary.txt"))
