import gzip
from pathlib import Path

import numpy as np
import pytest
from tiny_sources import write_idx

from noiseproof.core.errors import BadData, MissingFile
from noiseproof.data.sources import open_dataset

PIXELS = np.arange(3 * 5 * 4, dtype=np.uint8).reshape(3, 5, 4)


def write_pair(folder, stem="train", labels=(2, 0, 1), pixels=PIXELS):
    folder.mkdir(parents=True, exist_ok=True)
    write_idx(folder / f"{stem}-images-idx3-ubyte", pixels)
    write_idx(folder / f"{stem}-labels-idx1-ubyte", np.array(labels))


def pack(folder):
    for path in list(folder.iterdir()):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


@pytest.mark.parametrize("is_packed", [False, True])
def test_images_and_labels_are_those_of_the_files(tmp_path, is_packed):
    write_pair(tmp_path)
    if is_packed:
        pack(tmp_path)
    dataset = open_dataset(f"idx:{tmp_path}/train")
    assert dataset.ids.tolist() == ["train/0", "train/1", "train/2"]
    assert dataset.given_labels.tolist() == [2, 0, 1]
    assert dataset.class_names == tuple("0123456789")
    assert dataset.examples[1].mode == "RGB"
    assert np.array_equal(np.asarray(dataset.examples[1])[..., 2], PIXELS[1])


def test_packing_changes_no_fingerprint(tmp_path):
    write_pair(tmp_path)
    before = open_dataset(f"idx:{tmp_path}/train").fingerprint
    pack(tmp_path)
    assert open_dataset(f"idx:{tmp_path}/train").fingerprint == before


def test_test_is_another_name_of_t10k(tmp_path):
    write_pair(tmp_path, "t10k")
    assert open_dataset(f"idx:{tmp_path}/test").given_labels.tolist() == [2, 0, 1]
    assert open_dataset(f"idx:{tmp_path}/t10k").given_labels.tolist() == [2, 0, 1]


@pytest.mark.parametrize("folder", ["fashion-mnist", "FashionMNIST/raw"])
def test_classes_of_fashion_mnist_have_their_names(tmp_path, folder):
    write_pair(tmp_path / folder)
    names = open_dataset(f"idx:{tmp_path / folder}/train").class_names
    assert (len(names), names[0], names[9]) == (10, "T-shirt/top", "Ankle boot")


def test_more_than_ten_classes_are_counted(tmp_path):
    write_pair(tmp_path / "fashion", labels=(25, 0, 1))
    assert len(open_dataset(f"idx:{tmp_path / 'fashion'}/train").class_names) == 26


def test_an_absent_file_is_named(tmp_path):
    write_pair(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(MissingFile, match=r"has no file '.*train-labels-idx1-ubyte'; searched: .*\.gz"):
        open_dataset(f"idx:{tmp_path}/train")


def test_a_file_of_another_rank_is_refused(tmp_path):
    write_pair(tmp_path)
    write_idx(tmp_path / "train-images-idx3-ubyte", np.zeros(3))
    with pytest.raises(BadData, match="begins with '00 00 08 01'; allowed: an IDX file of bytes with 3 axes"):
        open_dataset(f"idx:{tmp_path}/train")


def test_truncated_files_are_refused(tmp_path):
    write_pair(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(BadData, match="holds 53 values; its header promises 3 x 5 x 4 = 60"):
        open_dataset(f"idx:{tmp_path}/train")
    path.rename(path.with_name(path.name + ".gz"))
    with pytest.raises(BadData, match=r"cannot be read .*Next: fetch it again"):
        open_dataset(f"idx:{tmp_path}/train")


def test_different_numbers_of_images_and_labels_are_refused(tmp_path):
    write_pair(tmp_path, labels=(0, 1))
    with pytest.raises(BadData, match="has 3 images and 2 labels"):
        open_dataset(f"idx:{tmp_path}/train")


@pytest.mark.slow
@pytest.mark.parametrize(("split", "size"), [("train", 60_000), ("test", 10_000)])
def test_fashion_mnist_of_debian_is_read_whole(split, size):
    folder = Path("/usr/share/datasets/fashion-mnist")
    if not folder.is_dir():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    dataset = open_dataset(f"idx:{folder}/{split}")
    assert np.bincount(dataset.given_labels).tolist() == [size // 10] * 10
    assert dataset.class_names[9] == "Ankle boot"
