import re
from pathlib import Path

import numpy as np
import pytest
import tiny_public
import torch
from tiny_sources import (
    CIFAR10_CLASSES,
    make_cifarn,
    make_clothing1m,
    make_food101n,
    make_webvision,
    use_tiny_cifar,
)

from noiseproof.core.errors import BadData, DamagedFile, InvalidArgument, MissingFile, UnknownName
from noiseproof.data.public.food101n import verified_right
from noiseproof.data.sources import open_dataset
from noiseproof.data.suites.suites import open_suite_set

# --- WebVision


@pytest.fixture
def webvision(tmp_path):
    make_webvision(tmp_path)
    return tmp_path / "webvision"


def test_webvision_has_the_images_and_labels_of_its_lists(webvision):
    train = open_dataset(f"webvision:{webvision}/train")
    assert train.ids.tolist() == [f"google/q000{1 + row // 2}/a {row}.jpg" for row in range(4)]
    assert train.given_labels.tolist() == [0, 0, 51, 51]
    assert (len(train.class_names), train.class_names[:2]) == (52, ("cat", "n00000001"))
    assert train.examples[1].getpixel((0, 0)) == (0, 255, 0)
    val = open_dataset(f"webvision:{webvision}/val")
    assert val.ids.tolist() == [f"val{row:06}.jpg" for row in range(4)]
    assert val.given_labels.tolist() == [0, 49, 50, 51]
    assert val.class_names == train.class_names
    assert val.examples[2].getpixel((0, 0)) == (0, 0, 255)


def test_mini_webvision_is_the_first_fifty_classes(webvision):
    train, val = (open_dataset(f"webvision:{webvision}/mini_{split}") for split in ("train", "val"))
    assert train.ids.tolist() == ["google/q0001/a 0.jpg", "google/q0001/a 1.jpg"]
    assert val.given_labels.tolist() == [0, 49]
    assert len(train.class_names) == len(val.class_names) == 50


def test_mini_webvision_without_an_image_is_refused(webvision):
    (webvision / "info" / "val_filelist.txt").write_text("val000002.jpg 50\n")
    with pytest.raises(BadData, match=r"val_filelist.txt' has no image of the first 50 classes"):
        open_dataset(f"webvision:{webvision}/mini_val")


@pytest.mark.parametrize("name", ["synsets.txt", "train_filelist_google.txt"])
def test_an_absent_list_of_webvision_is_named_with_its_origin(webvision, name):
    (webvision / "info" / name).unlink()
    with pytest.raises(MissingFile, match=rf"info/{name}'; it comes with info.tar of WebVision 1.0"):
        open_dataset(f"webvision:{webvision}/train")


@pytest.mark.parametrize("line", ["google/q0001/b.jpg 52", "google/q0001/b.jpg", "google/q0001/b.jpg dog"])
def test_a_line_of_webvision_that_is_none_is_named(webvision, line):
    path = webvision / "info" / "train_filelist_google.txt"
    path.write_text(f"{path.read_text()}{line}\n")
    with pytest.raises(BadData, match=rf"Line 5 of '.*google.txt' is '{line}'; allowed: .* below 52"):
        open_dataset(f"webvision:{webvision}/train")


def test_an_absent_image_of_webvision_is_named(webvision):
    (webvision / "val_images_256" / "val000003.jpg").unlink()
    with pytest.raises(MissingFile, match=r"Example 'val000003.jpg' of .*val_images_256/val000003.jpg"):
        open_dataset(f"webvision:{webvision}/val")
    assert len(open_dataset(f"webvision:{webvision}/mini_val")) == 2
    assert open_dataset(f"webvision:{webvision}/val", on_error="skip").num_skipped == 1


def test_an_unknown_split_of_webvision_is_named(webvision):
    with pytest.raises(
        UnknownName, match=r"split of WebVision 'mini'\. .*Known: mini_train, mini_val, train"
    ):
        open_dataset(f"webvision:{webvision}/mini")


# --- Food-101N


@pytest.fixture
def food(tmp_path):
    make_food101n(tmp_path)
    return tmp_path / "food-101N"


def key(label: str, row: int) -> str:
    return f"{label}/{row:032x}.jpg"


def test_food101n_has_the_class_that_its_paths_name(food):
    train = open_dataset(f"food101n:{food}/train")
    assert train.ids.tolist() == [key("cat", 0), key("cat", 1), key("dog", 2), key("dog", 3)]
    assert train.given_labels.tolist() == [0, 0, 1, 1]
    assert train.class_names == ("cat", "dog")
    assert train.clean_labels is None
    assert train.examples[1].getpixel((0, 0)) == (0, 255, 0)


def test_verified_lists_tell_which_labels_are_right(food):
    verified = open_dataset(f"food101n:{food}/verified_train")
    assert verified.ids.tolist() == [key("cat", 1), key("dog", 2), key("dog", 3)]
    assert verified.given_labels.tolist() == [0, 1, 1]
    assert verified_right(food, "verified_train").tolist() == [True, False, True]
    assert verified_right(food, "verified_val").tolist() == [False, True]
    clean = open_dataset(f"food101n:{food}/clean_train")
    assert clean.ids.tolist() == verified.ids[verified_right(food, "verified_train")].tolist()
    assert clean.clean_labels.tolist() == clean.given_labels.tolist() == [0, 1]
    assert open_dataset(f"food101n:{food}/clean_val").ids.tolist() == [key("dog", 3)]


def test_lists_of_food101n_may_lack_their_header(food):
    path = food / "meta" / "classes.txt"
    path.write_text("cat\ndog\n")
    assert open_dataset(f"food101n:{food}/train").class_names == ("cat", "dog")


@pytest.mark.parametrize(
    ("name", "split"),
    [("classes.txt", "train"), ("imagelist.tsv", "train"), ("verified_val.tsv", "clean_val")],
)
def test_an_absent_list_of_food101n_is_named_with_its_origin(food, name, split):
    (food / "meta" / name).unlink()
    with pytest.raises(MissingFile, match=rf"meta/{name}'; it comes with the archive Food-101N_release"):
        open_dataset(f"food101n:{food}/{split}")


@pytest.mark.parametrize(
    ("name", "split", "line"),
    [
        ("imagelist.tsv", "train", "soup/1.jpg"),
        ("imagelist.tsv", "train", "cat"),
        ("imagelist.tsv", "train", "cat/1.jpg\t1"),
        ("verified_val.tsv", "verified_val", "cat/1.jpg"),
        ("verified_val.tsv", "verified_val", "cat/1.jpg\t2"),
        ("verified_val.tsv", "verified_val", "cat/1.jpg\t1\t1"),
    ],
)
def test_a_line_of_food101n_that_is_none_is_named(food, name, split, line):
    path = food / "meta" / name
    number = len(path.read_text().splitlines()) + 1
    path.write_text(f"{path.read_text()}{line}\n")
    expected = f"Line {number} of {str(path)!r} is {line!r}; allowed: CLASS/HASH.jpg"
    with pytest.raises(BadData, match=re.escape(expected)):
        open_dataset(f"food101n:{food}/{split}")


def test_an_absent_image_of_food101n_is_named(food):
    (food / "images" / key("dog", 2)).unlink()
    with pytest.raises(MissingFile, match=rf"Example '{key('dog', 2)}' of"):
        open_dataset(f"food101n:{food}/verified_train")
    assert len(open_dataset(f"food101n:{food}/clean_train")) == 2


def test_only_the_verified_splits_are_judged(food):
    with pytest.raises(
        UnknownName, match=r"verified split of Food-101N 'train'.*verified_train, verified_val"
    ):
        verified_right(food, "train")
    with pytest.raises(UnknownName, match=r"split of Food-101N 'test'"):
        open_dataset(f"food101n:{food}/test")


# --- CIFAR-10N and CIFAR-100N


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """The folder with the file of labels."""
    monkeypatch.setenv("NOISEPROOF_DATA", str(tmp_path))
    use_tiny_cifar(monkeypatch)
    make_cifarn(tmp_path, ("dog", "cat", "dog", "dog"))
    return tmp_path


def save_columns(path: Path, **columns) -> None:
    arrays = {name: np.array(values) for name, values in columns.items()}
    if path.suffix == ".pt":
        torch.save(arrays, path)
    elif path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        rows = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
        path.write_text("\n".join([",".join(columns), *rows]) + "\n")


def test_labels_of_people_are_given_and_those_of_cifar_are_clean(cifar):
    dataset = open_dataset(f"cifarn:{cifar}/CIFAR-10_human.pt/worse_label")
    assert dataset.given_labels.tolist() == [5, 3, 5, 5]
    assert dataset.clean_labels.tolist() == [3, 3, 5, 5]
    assert dataset.class_names == CIFAR10_CLASSES
    images = open_dataset("torchvision:CIFAR10/train")
    assert dataset.ids.tolist() == images.ids.tolist()
    assert dataset.fingerprint == images.fingerprint  # so features are stored once for all columns


@pytest.mark.parametrize("suffix", [".pt", ".npz", ".csv"])
def test_columns_are_read_from_three_formats(cifar, suffix):
    path = cifar / f"CIFAR-100_human{suffix}"
    save_columns(path, clean_label=[3, 3, 5, 5], noisy_label=[9, 3, 5, 0])
    dataset = open_dataset(f"cifarn:{path}/noisy_label")
    assert dataset.given_labels.tolist() == [9, 3, 5, 0]
    assert dataset.given_labels.dtype == np.int64


def test_a_column_of_tensors_serves_as_well(cifar):
    path = cifar / "CIFAR-10_human.pt"
    torch.save({name: torch.tensor([3, 3, 5, 5]) for name in ("clean_label", "aggre_label")}, path)
    assert open_dataset(f"cifarn:{path}/aggre_label").given_labels.tolist() == [3, 3, 5, 5]


def test_another_order_of_the_images_is_refused(cifar):
    path = cifar / "CIFAR-10_human.npz"
    save_columns(path, clean_label=[3, 5, 5, 3], worse_label=[3, 3, 5, 5])
    with pytest.raises(
        BadData,
        match=r"The order of '.*CIFAR-10_human.npz' differs from that of 'torchvision:CIFAR10/train'.*"
        r"in 2 of 4 rows, the first is row 1",
    ):
        open_dataset(f"cifarn:{path}/worse_label")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([3, 3, 5], "3 integers for 4 images"),
        ([3.0, 3.5, 5.0, 5.0], "0 integers for 4 images"),
        ([3, 3, 5, 10], r"CIFAR-10_human.npz \(worse_label\)"),
    ],
)
def test_a_column_that_does_not_fit_is_named(cifar, values, message):
    path = cifar / "CIFAR-10_human.npz"
    save_columns(path, clean_label=[3, 3, 5, 5], worse_label=values)
    with pytest.raises(BadData, match=message):
        open_dataset(f"cifarn:{path}/worse_label")


def test_texts_in_a_csv_that_are_no_numbers_are_named(cifar):
    path = cifar / "CIFAR-10_human.csv"
    save_columns(path, clean_label=[3, 3, 5, 5], worse_label=["cat", 3, 5, 5])
    with pytest.raises(BadData, match=r"Column 'worse_label' of '.*csv' does not fit: .*'cat'"):
        open_dataset(f"cifarn:{path}/worse_label")


def test_an_absent_column_is_named(cifar):
    with pytest.raises(UnknownName, match=r"'worst_label'\. Did you mean 'worse_label'\?"):
        open_dataset(f"cifarn:{cifar}/CIFAR-10_human.pt/worst_label")
    path = cifar / "CIFAR-10_human.npz"
    save_columns(path, worse_label=[3, 3, 5, 5])
    with pytest.raises(UnknownName, match=r"in CIFAR-10_human.npz: 'clean_label'"):
        open_dataset(f"cifarn:{path}/worse_label")


def test_a_file_that_could_run_code_is_not_opened(cifar):
    path = cifar / "CIFAR-10_human.pt"
    torch.save({"clean_label": np.zeros(4, int), "worse_label": Path("harmless")}, path)
    with pytest.raises(
        BadData,
        match=r"could run any code when opened; allowed: tensors and arrays of integers only\. Next: Fetch",
    ):
        open_dataset(f"cifarn:{path}/worse_label")
    torch.save({"clean_label": np.array(["a", None], object)}, path)
    with pytest.raises(BadData, match="could run any code when opened"):
        open_dataset(f"cifarn:{path}/clean_label")
    with pytest.raises(InvalidArgument, match=r"The \.npy files of the authors are pickles.*take the \.pt"):
        open_dataset(f"cifarn:{cifar}/CIFAR-10_human.npy/worse_label")


def test_other_bad_files_of_labels_are_named(cifar):
    path = cifar / "CIFAR-10_human.pt"
    torch.save(torch.zeros(4), path)
    with pytest.raises(BadData, match="holds a Tensor; allowed: columns of labels by name"):
        open_dataset(f"cifarn:{path}/worse_label")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises((BadData, DamagedFile), match=r"CIFAR-10_human.pt'"):
        open_dataset(f"cifarn:{path}/worse_label")
    path.unlink()
    with pytest.raises(MissingFile, match=r"it comes from github.com/UCSC-REAL/cifar-10-100n, folder data"):
        open_dataset(f"cifarn:{path}/worse_label")
    with pytest.raises(InvalidArgument, match=r"CIFAR-10_human or CIFAR-100_human and an ending of"):
        open_dataset(f"cifarn:{cifar}/labels.pt/worse_label")


# --- the same by the names of the suites


@pytest.mark.parametrize(
    ("name", "folder", "make", "sizes"),
    [
        ("webvision", "webvision", make_webvision, {"train": 4, "test": 4}),
        ("mini_webvision", "webvision", make_webvision, {"train": 2, "test": 2}),
        ("clothing1m", "clothing1m", make_clothing1m, {"train": 4, "test": 2}),
        ("food101n", "food-101n", make_food101n, {"train": 4, "val": 2, "verified_train": 3, "test": 2}),
        ("cifar10n_worse", "cifar-n", make_cifarn, {"train": 4, "test": 4}),
    ],
)
def test_suites_find_the_layouts_in_the_folder_of_data(cifar, name, folder, make, sizes):
    made = make(cifar).partition(":")[2].rpartition("/")[0]
    source = Path(made)
    if source.is_file():  # of labels, in a folder of their own
        (cifar / folder).mkdir()
        source.rename(cifar / folder / source.name)
    else:
        source.rename(cifar / folder)
    tiny_public.make_food(cifar)
    for split, size in sizes.items():
        assert len(open_suite_set(name, split, allow_partial=True)) == size
    with pytest.raises(BadData, match="so it is not the data set of the paper"):
        open_suite_set(name, "test")
