"""Names, folders, archives and public sets; what is left out and what is refused."""

import inspect
import re

import numpy as np
import pytest
from PIL import Image
from tiny_sources import make_folder, make_hf, make_torchvision, pictures, png

from noiseproof.core.errors import BadData, InvalidArgument, MissingExtra, MissingFile, UnknownName
from noiseproof.core.torchvision_ops import declare_missing_operators
from noiseproof.data.public import torchvision_sets as public
from noiseproof.data.sources import open_dataset, resolve


@pytest.fixture
def write_npz(tmp_path):
    def write(**arrays) -> str:
        whole = {"features": np.arange(6.0).reshape(3, 2), "labels": np.array([0, 1, 0])} | arrays
        np.savez(tmp_path / "table.npz", **{name: v for name, v in whole.items() if v is not None})
        return str(tmp_path / "table.npz")

    return write


# --- names


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "sklern:digits",
            r"Unknown data source 'sklern'\. Did you mean 'sklearn'\? Known: cifarn, clothing1m, food101n",
        ),
        ("sklearn:digit", r"Unknown scikit-learn data set 'digit'\. Did you mean 'digits'"),
        ("torchvision:CIFR10/train", r"Unknown torchvision data set 'CIFR10'\. Did you mean 'CIFAR10'"),
    ],
)
def test_an_unknown_name_gets_a_suggestion(name, said):
    with pytest.raises(UnknownName, match=said):
        open_dataset(name)


@pytest.mark.parametrize("name", ["gone.parquet", "gone/", "/gone/with:colon.csv"])
def test_a_missing_path_is_named(name):
    with pytest.raises(MissingFile, match=f"The data set {name!r} does not exist. Allowed: a folder"):
        open_dataset(name)


def test_a_file_of_another_type_is_refused(tmp_path):
    (tmp_path / "table.xlsx").write_text("")
    with pytest.raises(
        UnknownName, match=r"Unknown file type 'xlsx'.* Known: csv, jsonl, npy, npz, parquet, tar, tsv, txt"
    ):
        open_dataset(str(tmp_path / "table.xlsx"))


def test_an_existing_path_wins_over_a_prefix(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve("sklearn:digits") == ("sklearn", "digits")
    (tmp_path / "sklearn:digits").mkdir()
    assert resolve("sklearn:digits") == ("folder", "sklearn:digits")


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_below_one_is_refused(limit):
    with pytest.raises(InvalidArgument, match=f"`limit` is {limit}; allowed: an integer of at least 1"):
        open_dataset("sklearn:digits", limit=limit)


def test_limits_of_two_seeds_differ():
    drawn = [open_dataset("sklearn:digits", limit=50, seed=seed).ids.tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


# --- folders


def test_a_folder_is_searched_inside_its_classes_and_sorted(tmp_path):
    root = make_folder(tmp_path)
    dataset = open_dataset(root)
    assert dataset.ids.tolist() == [
        "cat/inner/0.png", "cat/inner/1.png", "dog/inner/2.png", "dog/inner/3.png"
    ]  # fmt: skip
    assert dataset.examples[2].getpixel((0, 0)) == (0, 0, 255)


def test_hidden_files_and_other_files_are_passed_over(tmp_path):
    root = make_folder(tmp_path)
    before = open_dataset(root).fingerprint
    for junk in (".git/a.png", "cat/.thumbs/b.png", "cat/._0.png", "cat/Thumbs.db", "notes.txt"):
        path = tmp_path / "photos" / junk
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(png((1, 1, 1)))
    assert open_dataset(root).fingerprint == before


def test_moving_a_folder_keeps_its_fingerprint(tmp_path):
    before = open_dataset(make_folder(tmp_path)).fingerprint
    (tmp_path / "photos").rename(tmp_path / "renamed")
    assert open_dataset(str(tmp_path / "renamed")).fingerprint == before


def test_a_folder_without_class_folders_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(png((1, 1, 1)))
    with pytest.raises(BadData, match=r"has no class folders. Allowed: <folder>/<class>/<image file>"):
        open_dataset(str(tmp_path))


def test_a_class_folder_without_images_is_named(tmp_path):
    (tmp_path / "photos" / "bird").mkdir(parents=True)
    with pytest.raises(
        BadData, match=r"class folder '.*bird' holds no images; allowed: files that end in \.avif"
    ):
        open_dataset(make_folder(tmp_path))


# --- unreadable images


def spoil(root: str, row: str = "cat/inner/1.png") -> None:
    rng = np.random.default_rng(0)
    path = f"{root}/{row}"
    Image.fromarray(rng.integers(0, 256, (30, 30, 3), np.uint8)).save(path)
    with open(path, "r+b") as file:  # noqa: PTH123
        file.truncate(1500)


def test_a_truncated_image_is_named_when_it_is_read(tmp_path):
    root = make_folder(tmp_path)
    spoil(root)
    dataset = open_dataset(root)
    assert dataset.examples[0].mode == "RGB"
    with pytest.raises(BadData, match=r"Example 'cat/inner/1\.png' of '.*photos' cannot be read: .*damaged"):
        dataset.examples[1]


def test_skip_leaves_unreadable_images_out_and_counts_them(tmp_path):
    root = make_folder(tmp_path)
    whole = open_dataset(root)
    spoil(root)
    dataset = open_dataset(root, on_error="skip")
    assert dataset.num_skipped == 1
    assert dataset.ids.tolist() == np.delete(whole.ids, 1).tolist()
    assert dataset.given_labels.tolist() == [0, 1, 1]
    assert [image.mode for image in dataset.examples] == ["RGB"] * 3


def test_skip_with_nothing_to_skip_changes_nothing(tmp_path):
    root = make_folder(tmp_path)
    assert open_dataset(root, on_error="skip").fingerprint == open_dataset(root).fingerprint


def test_split_folders_are_not_taken_for_classes(tmp_path):
    for split in ("train", "test"):
        (tmp_path / split / "cat").mkdir(parents=True)
        (tmp_path / split / "cat" / "a.png").write_bytes(png((5, 5, 5)))
    with pytest.raises(BadData, match=r"called test, train: splits, not classes. .* Next: .*train'"):
        open_dataset(str(tmp_path))


def test_skip_leaves_missing_files_and_empty_cells_out(tmp_path):
    (tmp_path / "a.png").write_bytes(png((5, 5, 5)))
    (tmp_path / "t.csv").write_text("path,label\na.png,0\ngone.png,1\n.,1\n,1\n")
    dataset = open_dataset(str(tmp_path / "t.csv"), on_error="skip")
    assert (dataset.ids.tolist(), dataset.num_skipped) == (["a.png"], 3)


def test_an_empty_cell_is_named(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"text": "a", "y": 0}\n{"text": null, "y": 1}\n')
    with pytest.raises(BadData, match=r"Example 't/1' of .* cannot be read: it is missing"):
        open_dataset(str(tmp_path / "t.jsonl"))


def test_skip_counts_within_the_limit(tmp_path):
    root = make_folder(tmp_path)
    spoil(root)
    dataset = open_dataset(root, on_error="skip", limit=3)
    assert len(dataset) + dataset.num_skipped == 3


def test_nothing_readable_is_an_error(tmp_path):
    (tmp_path / "t.csv").write_text("path,label\ngone.png,0\n")
    with pytest.raises(BadData, match=r"No example of .* can be read; the last: .*gone.png"):
        open_dataset(str(tmp_path / "t.csv"), on_error="skip")


def test_another_word_for_on_error_is_refused():
    # Called past the runtime check of annotations, which users do not have.
    unchecked = inspect.unwrap(open_dataset)
    with pytest.raises(InvalidArgument, match="`on_error` is 'ignore'; allowed: raise, skip"):
        unchecked("sklearn:digits", on_error="ignore")


# --- NPZ


def test_npz_keeps_ids_names_and_other_label_columns(write_npz):
    name = write_npz(
        ids=np.array(["p", "q", "r"]), class_names=np.array(["dog", "cat"]), human=np.array([1, 1, 0])
    )
    dataset = open_dataset(name, label="human", clean_label="labels")
    assert (dataset.kind, dataset.ids.tolist()) == ("features", ["p", "q", "r"])
    assert dataset.class_names == ("dog", "cat")
    assert dataset.given_labels.tolist() == [1, 1, 0]
    assert dataset.clean_labels.tolist() == [0, 1, 0]
    assert np.asarray(dataset.examples).tolist() == [[0, 1], [2, 3], [4, 5]]


def test_npz_counts_become_numbers(write_npz):
    assert open_dataset(write_npz(features=np.eye(3, dtype=np.int64))).examples[1].dtype == np.float32


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_npz_with_a_row_that_is_not_finite_names_it(write_npz, value):
    features = np.zeros((3, 2))
    features[1, 0] = value
    with pytest.raises(BadData, match="NaN or infinity in row 1"):
        open_dataset(write_npz(features=features))


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"labels": np.array([0, 1])}, r"`labels` .* has shape \(2,\), `features` \(3, 2\); allowed: \(3,\)"),
        ({"ids": np.array(["a"])}, r"`ids` .* has shape \(1,\)"),
        ({"ids": np.array(["a", "b", "a"])}, "duplicate ids: .*'a'"),
        ({"features": np.zeros(3)}, r"shape \(3,\) and dtype float64; allowed: real numbers \(n, d\)"),
        ({"features": np.zeros((3, 0))}, r"shape \(3, 0\) .*allowed: real numbers \(n, d\), d at least 1"),
        (
            {"features": np.array([[0.0, 1.0], [0.0, -1e39], [1e40, 0.0]])},
            r"value of 1e\+39 in row 1 \(2 such rows\), outside the range of float32; allowed: -3.4e\+38 to",
        ),
        ({"class_names": np.array(["ant", "ant"])}, "more than one class of the name 'ant'"),
        ({"features": np.full((3, 2), "x")}, "allowed: real numbers"),
        ({"features": np.zeros((0, 2)), "labels": np.array([], np.int64)}, "is empty"),
        ({"class_names": np.array(["only"])}, "Label 1 in row 1 .* outside the classes; allowed: 0 to 0"),
        ({"labels": np.array([0, {}, 1], object)}, r"holds Python objects \(a pickle\)"),
        ({"features": None}, "Unknown array in .* 'features'"),
        ({"labels": None}, r"Unknown array in .*\(option `label`\): 'labels'"),
    ],
)
def test_npz_that_does_not_fit_is_refused(write_npz, arrays, said):
    with pytest.raises(ValueError, match=said):
        open_dataset(write_npz(**arrays))


def test_a_named_array_that_an_npz_does_not_have_is_refused(write_npz):
    with pytest.raises(UnknownName, match=r"Unknown array in .*\(option `label`\): 'nope'"):
        open_dataset(write_npz(), label="nope")


def test_a_broken_npz_is_refused(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(BadData, match=r"'.*a.npz' cannot be read: .* Allowed: an NPZ"):
        open_dataset(str(tmp_path / "a.npz"))


# --- public sets


def test_digits_are_scaled_to_bytes():
    from sklearn.datasets import load_digits

    dataset = open_dataset("sklearn:digits")
    pixels = np.asarray(dataset.examples[7])
    assert pixels.shape == (8, 8, 3)
    assert pixels[..., 0] / 255 == pytest.approx(load_digits().images[7] / 16, abs=0.5 / 255 + 1e-9)
    assert dataset.class_names == tuple("0123456789")


@pytest.mark.parametrize("name", ["torchvision:CIFAR10", "hf:mnist"])
def test_a_public_name_without_split_is_refused(name):
    with pytest.raises(InvalidArgument, match=f"`data set` is '{name}'; allowed: .*NAME/split"):
        open_dataset(name)


def test_a_split_torchvision_does_not_have_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv(public.ROOT_VARIABLE, str(tmp_path))
    with pytest.raises(InvalidArgument, match="`split` is 'valid'; allowed: train, test"):
        open_dataset("torchvision:CIFAR10/valid")
    with pytest.raises(InvalidArgument, match="allowed: a torchvision class with train= or split="):
        open_dataset("torchvision:FakeData/train")


def test_torchvision_sets_that_take_a_split_open(tmp_path, monkeypatch):
    monkeypatch.setenv(public.ROOT_VARIABLE, str(tmp_path))
    for name, content in zip(("negative", "positive"), pictures(), strict=False):
        for part in ("train", "valid", "test"):
            path = tmp_path / "rendered-sst2" / part / name / "0.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    dataset = open_dataset("torchvision:RenderedSST2/val")
    assert dataset.class_names == ("negative", "positive")
    assert dataset.given_labels.tolist() == [0, 1]
    assert dataset.examples[1].getpixel((0, 0)) == (0, 255, 0)


def test_torchvision_without_files_or_network_says_both(tmp_path, monkeypatch):
    declare_missing_operators()
    from torchvision.datasets import CIFAR10

    def no_network(self):
        raise OSError("no route to host")

    monkeypatch.setattr(CIFAR10, "download", no_network)
    monkeypatch.setenv(public.ROOT_VARIABLE, str(tmp_path))
    said = f"not under {str(tmp_path)!r} and could not be downloaded (no route to host)"
    with pytest.raises(MissingFile, match=re.escape(said)):
        open_dataset("torchvision:CIFAR10/train")


def test_torchvision_without_a_download_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(public.ROOT_VARIABLE, str(tmp_path))
    with pytest.raises(MissingFile, match=r"torchvision cannot download it .* Next: put its files there"):
        open_dataset("torchvision:ImageNet/train")


@pytest.mark.parametrize(("package", "extra"), [("torchvision", "vision"), ("datasets", "hf")])
def test_a_missing_package_comes_with_its_pip_command(monkeypatch, package, extra):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    name = {"torchvision": "torchvision:CIFAR10/train", "datasets": "hf:ylecun/mnist/train"}[package]
    with pytest.raises(MissingExtra, match=rf"needs the package `{package}`.*'noiseproof\[{extra}\]'"):
        open_dataset(name)


def test_a_hub_split_that_is_not_saved_gets_a_suggestion(tmp_path):
    name = make_hf(tmp_path).replace("/train", "/trian")
    with pytest.raises(UnknownName, match=r"Unknown split of .* 'trian'\. Did you mean 'train'"):
        open_dataset(name)


def test_one_saved_split_opens_under_its_own_name_only(tmp_path):
    datasets = pytest.importorskip("datasets")
    make_hf(tmp_path)
    part = datasets.load_from_disk(str(tmp_path / "saved"))["train"]
    part.save_to_disk(str(tmp_path / "one"))
    assert len(open_dataset(f"hf:{tmp_path / 'one'}/train")) == 4


def test_a_folder_of_parquet_files_opens_as_a_hub_set(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    make_hf(tmp_path)
    (tmp_path / "hub").mkdir()
    part = datasets.load_from_disk(str(tmp_path / "saved"))["train"]
    part.to_parquet(str(tmp_path / "hub" / "train-00000-of-00001.parquet"))
    dataset = open_dataset(f"hf:{tmp_path / 'hub'}/train")
    assert dataset.class_names == ("cat", "dog")
    assert dataset.examples[3].getpixel((0, 0)) == (255, 255, 0)


def test_bytes_that_spell_texts_in_a_hub_set_are_texts(tmp_path):
    datasets = pytest.importorskip("datasets")
    saved = datasets.Dataset.from_dict({"text": [b"good", b"bad"], "label": ["a", "b"]})
    saved.save_to_disk(str(tmp_path / "one"))
    assert list(open_dataset(f"hf:{tmp_path / 'one'}/train").examples) == ["good", "bad"]


def test_a_hub_set_out_of_reach_says_what_to_check():
    pytest.importorskip("datasets")
    with pytest.raises(
        MissingFile, match=r"hf:nobody/nothing is neither a folder nor in the cache.* Next: check"
    ):
        open_dataset("hf:nobody/nothing/train")


def test_make_torchvision_is_read_from_the_named_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(public.ROOT_VARIABLE, str(tmp_path))
    assert open_dataset(make_torchvision(tmp_path)).examples[1].getpixel((0, 4)) == (80, 80, 80)


def test_a_configuration_of_a_hub_data_set_follows_a_colon(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for name in ("cola", "sst2"):
        (tmp_path / "glue" / name).mkdir(parents=True)
        (tmp_path / "glue" / name / "train.csv").write_text(f"sentence,label\nfirst of {name},0\nsecond,1\n")
    configs = [f"- config_name: {name}\n  data_files: {name}/train.csv" for name in ("cola", "sst2")]
    (tmp_path / "glue" / "README.md").write_text("---\nconfigs:\n" + "\n".join(configs) + "\n---\n")
    dataset = open_dataset(f"hf:{tmp_path}/glue:sst2/train")
    assert list(dataset.examples) == ["first of sst2", "second"]
    with pytest.raises(BadData, match=r"cannot be opened: .*Next: check the name and the split"):
        open_dataset(f"hf:{tmp_path}/glue:mrpc/train")
