import re
from pathlib import Path

import pytest
from tiny_sources import make_clothing1m

from noiseproof.core.errors import BadData, MissingFile, UnknownName
from noiseproof.data.public.clothing1m import CLASSES
from noiseproof.data.sources import open_dataset


@pytest.fixture
def folder(tmp_path):
    return Path(make_clothing1m(tmp_path).removeprefix("clothing1m:").removesuffix("/train"))


def test_splits_have_the_labels_they_are_published_with(folder):
    train = open_dataset(f"clothing1m:{folder}/train")
    assert train.ids.tolist() == [f"images/0/{row}/{row},7.jpg" for row in range(4)]
    assert train.given_labels.tolist() == [0, 0, 1, 1]
    test = open_dataset(f"clothing1m:{folder}/test")
    assert test.ids.tolist() == ["images/0/1/1,7.jpg", "images/0/2/2,7.jpg"]
    assert test.given_labels.tolist() == [1, 1]  # the noisy label of the first was another
    assert test.class_names == train.class_names == ("cat", "dog")
    assert test.examples[0].getpixel((0, 0)) == (0, 255, 0)


def test_without_a_file_of_names_the_fourteen_published_ones_are_used(folder):
    (folder / "category_names_eng.txt").unlink()
    train = open_dataset(f"clothing1m:{folder}/train")
    assert len(CLASSES) == len(set(CLASSES)) == 14
    assert train.class_names == CLASSES


def test_an_unknown_split_is_named(folder):
    with pytest.raises(UnknownName, match=r"Unknown split of Clothing1M 'tests'. Did you mean 'test'"):
        open_dataset(f"clothing1m:{folder}/tests")


def test_an_absent_list_is_named(folder):
    with pytest.raises(MissingFile, match=re.escape(str(folder / "clean_val_key_list.txt"))):
        open_dataset(f"clothing1m:{folder}/val")


def test_a_key_without_a_label_is_named(folder):
    (folder / "clean_label_kv.txt").write_text("images/0/1/1,7.jpg 1\n")
    with pytest.raises(BadData, match=r"has no label of 'images/0/2/2,7.jpg' \(1 such keys"):
        open_dataset(f"clothing1m:{folder}/test")


@pytest.mark.parametrize("label", ["2", "-1", "cat"])
def test_a_label_that_is_no_class_is_named_with_its_line(folder, label):
    (folder / "noisy_label_kv.txt").write_text(f"images/0/0/0,7.jpg {label}\n")
    with pytest.raises(BadData, match=rf"Line 1 of .*'images/0/0/0,7.jpg {label}'; allowed: .*0 to 1"):
        open_dataset(f"clothing1m:{folder}/train")


def test_an_absent_image_is_named(folder):
    (folder / "images/0/3/3,7.jpg").unlink()
    with pytest.raises(MissingFile, match=r"3,7\.jpg"):
        open_dataset(f"clothing1m:{folder}/train")


def test_an_empty_list_of_keys_is_refused(folder):
    (folder / "noisy_train_key_list.txt").write_text("\n")
    with pytest.raises(BadData, match=r"noisy_train_key_list.txt' is empty"):
        open_dataset(f"clothing1m:{folder}/train")
