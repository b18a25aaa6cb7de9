import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
import tiny_public
from typer.testing import CliRunner

from noiseproof.cli.main import app
from noiseproof.core.errors import BadData, InvalidArgument, MissingFile, UnknownName
from noiseproof.data.classes import align_labels
from noiseproof.data.public.imagenet_variants import imagenet_wnids
from noiseproof.data.sources import open_dataset, resolve
from noiseproof.data.suites.suite_tables import SUITES, Split, SuitePart
from noiseproof.data.suites.suites import class_groups, open_suite_set, open_videos, suite_lines, suite_set
from noiseproof.evaluate.metrics import METRICS

ALL = {name: row for suite in SUITES.values() for name, row in suite.items()}


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("NOISEPROOF_DATA", str(tmp_path))
    return tmp_path


def test_pairs_and_scores_of_glue_are_opened_from_a_file_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("NOISEPROOF_DATA", str(tmp_path))
    (tmp_path / "glue/stsb").mkdir(parents=True)
    rows = ["sentence1,sentence2,label,idx", "a b,c d,3.8,0", "e f,g h,0.0,1"]
    (tmp_path / "glue/stsb/train.csv").write_text("\n".join(rows) + "\n")
    dataset = open_dataset("suite:stsb/train:partial", task="auto")
    assert dataset.scores.tolist() == [3.8, 0.0]
    assert dataset.examples[0] == ("a b", "c d")
    with pytest.raises(BadData, match="has 2 examples, expected 5,749"):
        open_dataset("suite:stsb/train", task="auto")
    (tmp_path / "glue/mrpc").mkdir()
    (tmp_path / "glue/mrpc/test.tsv").write_text("sentence1\tsentence2\tlabel\na\tb\t1\nc\td\t0\n")
    pairs = open_dataset("suite:mrpc/test:partial")
    assert (pairs.examples[1], pairs.class_names) == (("c", "d"), ("0", "1"))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_pairs_of_snli_without_a_gold_label_are_missing_labels(root, suffix):
    """The hub has -1 for them."""
    rows = [{"premise": f"a {row}", "hypothesis": "b", "label": row % 4 - 1} for row in range(8)]
    (root / "glue-x/snli").mkdir(parents=True)
    path = root / "glue-x/snli" / f"test.{suffix}"
    table = pa.Table.from_pylist(rows)
    (pa_csv.write_csv if suffix == "csv" else pq.write_table)(table, path)
    with pytest.raises(
        BadData, match=r"The label is missing in row 0 of .*; 2 such rows of 8.*--missing-label skip"
    ):
        open_dataset("suite:snli/test:partial")
    dataset = open_dataset("suite:snli/test:partial", missing_label="skip")
    assert dataset.class_names == ("0", "1", "2")
    assert dataset.given_labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert dataset.num_skipped == 2
    with pytest.raises(BadData, match="has 8 examples, expected 570,152"):  # those left out count
        open_dataset("suite:snli/test", missing_label="skip")


def test_every_set_of_texts_names_its_columns_and_metrics():
    for suite in ("glue", "glue-x"):
        for name, row in SUITES[suite].items():
            assert len(row.text) in (1, 2), name
            assert (row.num_classes == 1) == (row.metric == "pearson")
    assert [name for name, row in SUITES["glue"].items() if row.also == ("f1",)] == ["mrpc", "qqp"]


def printed_number(cell):
    return None if cell is None else int(cell.replace(",", ""))


def test_the_suites_have_the_papers_number_of_sets():
    # 14 in domain; 4 domains, 6 variants and ImageNet itself; 8 tasks of GLUE; 8 sets of GLUE-X; 10 with
    # labels that are wrong as they come.
    assert {suite: len(sets) for suite, sets in SUITES.items()} == {
        "vision-in-domain": 14, "vision-source": 1, "vision-out-of-domain": 10, "glue": 8, "glue-x": 8,
        "label-noise": 10,
    }  # fmt: skip
    assert len(ALL) == 14 + 11 + 8 + 8 + 10  # no name twice


def test_sizes_of_vision_sets_are_those_the_paper_prints_but_where_a_note_says_why():
    differing = {}
    for suite in ("vision-in-domain", "vision-out-of-domain"):
        for name, row in SUITES[suite].items():
            sizes = {split: each.size for split, each in row.splits.items()}
            ours = (row.num_classes, sizes.get("train"), sizes["test"])
            theirs = tuple(map(printed_number, row.printed))
            wrong = {
                what
                for what, our, their in zip(("classes", "train", "test"), ours, theirs, strict=True)
                if their is not None and our != their
            }
            if wrong:
                differing[name] = wrong
                assert row.note
    assert differing == {
        "fgvc_aircraft": {"classes"},
        "patch_camelyon": {"classes", "train", "test"},
        "imagenet_vid": {"classes"},
        "objectnet": {"classes"},
    }


def test_patch_camelyon_has_two_classes_and_the_paper_prints_svhn():
    row = ALL["patch_camelyon"]
    assert row.num_classes == 2
    assert [row.splits[s].size for s in ("train", "val", "test")] == [262_144, 32_768, 32_768]
    assert row.printed == ALL["svhn"].printed == ("10", "73,257", "26,032")


def test_aircraft_and_flowers_take_the_splits_that_have_the_printed_sizes():
    aircraft, flowers = ALL["fgvc_aircraft"], ALL["flowers102"]
    assert (aircraft.num_classes, aircraft.splits["train"].size) == (100, 6_667)
    assert aircraft.splits["train"].source == "torchvision:FGVCAircraft/trainval"
    assert flowers.splits["train"] == Split("torchvision:Flowers102/train+val", 2_040)


def test_domains_add_up_to_the_counts_their_authors_publish():
    # "#Cleaned" on the page of DomainNet.
    published = {"clipart": 48_129, "painting": 72_266, "real": 172_947, "sketch": 69_128}
    found = {name: sum(each.size for each in ALL[f"domainnet_{name}"].splits.values()) for name in published}
    assert found == published


def test_every_row_can_be_used():
    for name, row in ALL.items():
        assert row.metric in (*METRICS, "pearson"), name
        assert "test" in row.splits, name
        for split in row.splits.values():
            if split.source is None:
                assert "source" in row.note, name
            elif ":" in split.source:
                source = resolve(split.source)[0]
                layouts = ("clothing1m", "webvision", "food101n", "cifarn")
                assert source in ("torchvision", "hf") or (source in layouts and "{data}" in split.source), (
                    name
                )
            else:
                assert split.source.startswith("{data}/"), name
        if row.part:
            assert len({split.source for split in row.splits.values()}) == 1, name


def test_the_command_prints_every_set_and_the_sources():
    result = CliRunner().invoke(app, ["ls", "datasets"])
    assert result.exit_code == 0
    for name in ALL:
        assert re.search(rf"^{name} ", result.stdout, re.MULTILINE), name
    assert re.search(
        r"^patch_camelyon +2 +262,144 +32,768 +accuracy +hf:1aurent/PatchCamelyon/test$",
        result.stdout,
        re.MULTILINE,
    )
    assert "parquet, npy, npz, txt, torchvision:..., hf:..." in result.stdout


def test_columns_of_the_table_line_up():
    head, *lines = suite_lines()
    for line in lines:
        if not line.startswith("["):
            assert line[head.index("metric") - 1] == " " != line[head.index("metric")]
            assert line[head.index("source") - 1] == " " != line[head.index("source")]


@pytest.mark.parametrize(
    ("name", "make", "train", "test", "classes"),
    [
        ("oxford_pet", tiny_public.make_pets, 6, 4, ("Abyssinian", "Pug")),
        ("fgvc_aircraft", tiny_public.make_aircraft, 2, 1, ("707-320", "Cessna 172")),
        ("food101", tiny_public.make_food, 4, 2, ("apple_pie", "waffles")),
        ("dtd", tiny_public.make_textures, 2, 2, ("banded", "woven")),
        ("rendered_sst2", tiny_public.make_rendered, 2, 2, ("negative", "positive")),
        ("stanford_cars", tiny_public.make_cars, 2, 2, ("AM General Hummer", "Acura RL")),
        ("domainnet_sketch", tiny_public.make_domain, 4, 2, ("aircraft_carrier", "The Eiffel Tower")),
    ],
)
def test_sets_are_read_from_their_published_layout(root, name, make, train, test, classes):
    make(root)
    for split, size in (("train", train), ("test", test)):
        dataset = open_suite_set(name, split, allow_partial=True)
        assert (len(dataset), dataset.class_names) == (size, classes)
        assert dataset.name == f"suite:{name}/{split}"
        assert dataset.examples[0].mode == "RGB"
    named = open_dataset(f"suite:{name}/test:partial", limit=1)
    assert len(named) == 1


def test_flowers_train_on_two_splits_one_after_the_other(root, monkeypatch):
    from noiseproof.core.torchvision_ops import declare_missing_operators

    declare_missing_operators()
    from torchvision.datasets import Flowers102

    sums = tiny_public.make_flowers(root)
    files = {key: (name, sums.get(key, md5)) for key, (name, md5) in Flowers102._file_dict.items()}
    monkeypatch.setattr(Flowers102, "_file_dict", files)
    dataset = open_suite_set("flowers102", "train", allow_partial=True)
    expected = ["train/0", "train/1", "val/0", "val/1"]
    assert dataset.ids.tolist() == [f"Flowers102-{each}" for each in expected]
    assert dataset.given_labels.tolist() == [0, 1, 0, 1]
    assert len(dataset.class_names) == 102
    shades = [np.asarray(dataset.examples[row])[0, 0, 0] for row in range(4)]
    assert shades == sorted(shades)
    assert shades[0] < shades[3]


def test_a_copy_of_another_size_is_refused(root):
    tiny_public.make_pets(root)
    with pytest.raises(
        BadData,
        match=r"'suite:oxford_pet/train' has 6 examples, expected 3,680 and 2 classes, expected 37.*"
        r"allow_partial=True \(suite:oxford_pet/train:partial\)",
    ):
        open_suite_set("oxford_pet", "train")
    with pytest.raises(BadData, match="has 4 examples, expected 3,669"):
        open_dataset("suite:oxford_pet/test")


def test_a_copy_of_the_right_size_is_taken(root, monkeypatch):
    tiny_public.make_pets(root)
    row = ALL["oxford_pet"]
    splits = {
        split: each._replace(size=size)
        for (split, each), size in zip(row.splits.items(), (6, 4), strict=True)
    }
    monkeypatch.setitem(SUITES["vision-in-domain"], "oxford_pet", replace(row, splits=splits, num_classes=2))
    assert len(open_suite_set("oxford_pet", "train")) == 6
    assert len(open_dataset("suite:oxford_pet/test")) == 4


def test_your_own_copy_can_be_named(root):
    tiny_public.make_imagenet_like(root / "mine", ("n01440764", "n01443537"))
    dataset = open_suite_set("imagenet_a", "test", source=str(root / "mine"), allow_partial=True)
    assert dataset.class_names == ("n01440764", "n01443537")


def test_a_skipped_example_still_counts_for_the_size(root, monkeypatch):
    tiny_public.make_imagenet_like(root / "imagenet-a", ("n01440764", "n01443537"))
    (root / "imagenet-a" / "n01440764" / "2.jpg").write_bytes(b"broken")
    row = replace(ALL["imagenet_a"], splits={"test": Split("{data}/imagenet-a", 3)}, num_classes=2)
    monkeypatch.setitem(SUITES["vision-out-of-domain"], "imagenet_a", row)
    dataset = open_dataset("suite:imagenet_a/test", on_error="skip")
    assert (len(dataset), dataset.num_skipped) == (2, 1)


@pytest.mark.parametrize(
    ("part", "train", "test"), [(SuitePart(test_share=0.2), 8, 2), (SuitePart(train_per_class=3), 6, 4)]
)
def test_a_set_in_one_piece_is_drawn_the_same_way_every_time(root, monkeypatch, part, train, test):
    for name in ("Forest", "River"):
        for row in range(5):
            tiny_public.picture(root / "eurosat" / "2750" / name / f"{row}.jpg")
    row = ALL["eurosat"]
    splits = {
        split: each._replace(size=size)
        for (split, each), size in zip(row.splits.items(), (train, test), strict=True)
    }
    monkeypatch.setitem(
        SUITES["vision-in-domain"], "eurosat", replace(row, splits=splits, num_classes=2, part=part)
    )
    first, second = (open_suite_set("eurosat", split) for split in ("train", "test"))
    assert (len(first), len(second)) == (train, test)
    assert not set(first.ids) & set(second.ids)
    assert np.bincount(first.given_labels).tolist() == [train // 2] * 2
    assert open_suite_set("eurosat", "train").ids.tolist() == first.ids.tolist()


def test_vtab_like_sets_come_from_a_saved_folder(tmp_path):
    datasets = pytest.importorskip("datasets")
    from tiny_sources import pictures

    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("bool")})
    columns = {"image": [{"bytes": b, "path": None} for b in pictures()], "label": [True, False, True, False]}
    saved = datasets.Dataset.from_dict(columns, features=features, split="test")
    saved.save_to_disk(str(tmp_path / "pcam"))
    dataset = open_suite_set("patch_camelyon", "test", source=f"hf:{tmp_path}/pcam/test", allow_partial=True)
    assert dataset.class_names == ("False", "True")
    assert dataset.given_labels.tolist() == [1, 0, 1, 0]


def test_domains_share_their_classes_by_name(root):
    tiny_public.make_domain(root)
    train, test = (open_suite_set("domainnet_sketch", s, allow_partial=True) for s in ("train", "test"))
    assert align_labels(test, train.class_names).given_labels.tolist() == [0, 1]


def test_the_list_of_imagenet_has_1000_sorted_classes():
    wnids = imagenet_wnids()
    assert len(wnids) == 1000
    assert list(wnids) == sorted(wnids)  # so a folder of them has ImageNet's class ids
    assert (wnids[0], wnids[999]) == ("n01440764", "n15075141")


@pytest.mark.parametrize(("name", "letter"), [("imagenet_a", "a"), ("imagenet_r", "r")])
def test_masks_of_the_200_class_sets_agree_with_those_of_timm(root, name, letter):
    import importlib.resources

    info = importlib.resources.files("timm.data") / "_info"
    synsets = (info / f"imagenet_{letter}_synsets.txt").read_text().split()
    indices = [int(line) for line in (info / f"imagenet_{letter}_indices.txt").read_text().split()]
    assert len(synsets) == 200 == ALL[name].num_classes
    tiny_public.make_imagenet_like(root / name.replace("_", "-"), tuple(synsets))
    dataset = open_suite_set(name, "test", allow_partial=True)
    assert list(class_groups(name, dataset)) == [(index,) for index in indices]


def test_classes_of_imagenet_v2_are_numbers_in_the_order_of_their_folders(root):
    tiny_public.make_imagenet_like(root / "imagenetv2-matched-frequency-format-val", ("0", "2", "10"))
    dataset = open_suite_set("imagenet_v2", "test", allow_partial=True)
    assert dataset.class_names == ("0", "2", "10")
    assert class_groups("imagenet_v2", dataset) == ((0,), (2,), (10,))


def test_folders_that_are_no_class_of_imagenet_are_refused(root):
    tiny_public.make_imagenet_like(root / "imagenet-a", ("n01440764", "n99999999", "cat"))
    dataset = open_suite_set("imagenet_a", "test", allow_partial=True)
    with pytest.raises(BadData, match="has 'cat', 'n99999999'; allowed: WordNet ids of ImageNet-1K"):
        class_groups("imagenet_a", dataset)
    with pytest.raises(BadData, match="allowed: class numbers, 0 to 999"):
        class_groups("imagenet_v2", dataset)


def test_objectnet_keeps_the_shared_classes_without_its_red_frame(root):
    tiny_public.make_objectnet(root)
    dataset = open_suite_set("objectnet", "test", allow_partial=True)
    assert dataset.class_names == ("banana", "bicycle")
    assert dataset.given_labels.tolist() == [0, 1]
    assert dataset.ids.tolist() == ["banana/1.png", "bicycle/1.png"]
    image = np.asarray(dataset.examples[0])
    assert image.shape == (8, 10, 3)
    assert (image == [10, 20, 30]).all()
    assert class_groups("objectnet", dataset) == ((954,), (671, 444))
    wnids = imagenet_wnids()
    assert (wnids[954], wnids[671], wnids[444]) == ("n07753592", "n03792782", "n02835271")


def test_mapping_files_that_are_absent_or_do_not_fit_are_named(root):
    base = tiny_public.make_objectnet(root)
    mapping = base / "mappings" / "objectnet_to_imagenet_1k.json"
    mapping.write_text('{"Banana": "plantain"}')
    with pytest.raises(
        BadData, match=r"The mapping files in '.*mappings' do not fit .*KeyError\('plantain'\)"
    ):
        open_suite_set("objectnet", "test", allow_partial=True)
    mapping.write_text("[]")
    with pytest.raises(BadData, match="holds a list; allowed: an object of names"):
        open_suite_set("objectnet", "test", allow_partial=True)
    mapping.write_text("{")
    with pytest.raises(BadData, match="is no JSON"):
        open_suite_set("objectnet", "test", allow_partial=True)
    mapping.unlink()
    with pytest.raises(MissingFile, match=r"There is no file '.*objectnet_to_imagenet_1k\.json'"):
        open_suite_set("objectnet", "test", allow_partial=True)


def test_objectnet_without_images_is_named(root):
    base = tiny_public.make_objectnet(root)
    (base / "images").rename(base / "elsewhere")
    with pytest.raises(MissingFile, match=r"has no folder '.*images'\. Next: unpack ObjectNet there"):
        open_suite_set("objectnet", "test", allow_partial=True)


def test_video_frames_know_their_anchors_and_every_label_that_counts(root):
    tiny_public.make_videos(root)
    found = open_videos()
    assert found.dataset.class_names == ("airplane", "elephant")
    assert found.dataset.ids[[0, 5]].tolist() == ["val/video_0/000000.JPEG", "val/video_1/000002.JPEG"]
    assert found.dataset.given_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.is_accepted.tolist() == [[True, False]] * 3 + [[False, True]] * 2 + [[True, True]]
    assert found.anchors.tolist() == [1, 4]
    assert [rows.tolist() for rows in found.neighbours] == [[0, 2], [3, 5]]
    dataset = open_suite_set("imagenet_vid", "test", allow_partial=True)
    assert dataset.fingerprint == found.dataset.fingerprint
    wnids = imagenet_wnids()
    groups = class_groups("imagenet_vid", dataset)
    assert [[wnids[c] for c in group] for group in groups] == [["n02690373"], ["n02504013", "n02504458"]]


def test_a_frame_without_a_label_is_named(root):
    base = tiny_public.make_videos(root)
    labels = base / "metadata" / "labels.json"
    labels.write_text(labels.read_text().replace("video_0/000002", "video_7/000002"))
    with pytest.raises(BadData, match=r"has 'val/video_0/000002\.JPEG'; allowed: frames with a label"):
        open_videos()


def test_unknown_names_get_a_suggestion():
    with pytest.raises(UnknownName, match=r"Unknown data set of a suite 'cifar11'\. Did you mean 'cifar10'"):
        suite_set("cifar11")
    with pytest.raises(UnknownName, match=r"Unknown split of cifar10: 'tset'\. Did you mean 'test'"):
        open_suite_set("cifar10", "tset")
    with pytest.raises(InvalidArgument, match="`data set` is 'suite:cifar10'; allowed: suite:NAME/split"):
        open_dataset("suite:cifar10")


def test_sets_that_cannot_be_opened_say_why(root):
    with pytest.raises(
        MissingFile, match=r"'grammar_test' has no public source .*name your copy with `source`"
    ):
        open_suite_set("grammar_test", "test")
    with pytest.raises(MissingFile, match=r"There is no folder '.*objectnet-1\.0'"):
        open_suite_set("objectnet", "test")
    with pytest.raises(MissingFile, match=r"data set '.*imagenet-a.*' does not exist"):
        open_suite_set("imagenet_a", "test")


def test_only_variants_of_imagenet_have_class_groups():
    with pytest.raises(
        InvalidArgument, match="`name` is 'dtd'; allowed: a variant of ImageNet: imagenet_v2, imagenet_r"
    ):
        class_groups("dtd", open_dataset("sklearn:digits"))


def test_a_table_of_texts_is_opened_by_its_column(tmp_path):
    (tmp_path / "cola.csv").write_text("sentence,label,idx\nShe ran.,1,0\nRan she the.,0,1\n")
    dataset = open_suite_set("cola", "train", source=str(tmp_path / "cola.csv"), allow_partial=True)
    assert dataset.examples[1] == "Ran she the."
    with pytest.raises(BadData, match="has 2 examples, expected 8,551"):
        open_suite_set("cola", "train", source=str(tmp_path / "cola.csv"))
