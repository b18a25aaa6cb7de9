"""Each format read back by somebody else."""

import csv
import dataclasses
import json
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from judged import HOSTILE, NAMES, judged, save_images

import noiseproof
from noiseproof.core.errors import BadData, DamagedFile, InvalidArgument, UnknownName
from noiseproof.core.storage.spreadsheet_cells import escaped
from noiseproof.export.formats import FORMATS
from noiseproof.export.issue_files import write_issues
from rewritten import rewritten


@pytest.fixture
def photos(tmp_path):
    """A folder of class folders whose names are hard to write down."""
    folder = tmp_path / "my photos, all"
    save_images(folder, ["cat/a,b.png", 'cat/say "hi".png', "dog/ümläut 猫.png", "dog/x#y?.png"])
    return folder


def of_folder(folder, **labels):
    dataset = noiseproof.open_dataset(str(folder))
    options = {"given": (0, 0, 1, 1), "suggested": (0, 1, 1, 1)} | labels
    return judged(dataset.ids, names=("cat", "dog"), **options), dataset


def test_spreadsheet_has_every_id_as_it_is_and_the_most_suspicious_first(tmp_path):
    assert "label_issues.csv" in write_issues(judged(), tmp_path)
    content = (tmp_path / "label_issues.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")  # tells spreadsheets that it is UTF-8
    rows = list(csv.DictReader(content.decode("utf-8-sig").splitlines(keepends=True)))
    assert [row["example_id"] for row in rows] == [escaped(HOSTILE[k]) for k in (0, 4, 1, 2, 3, 5)]
    assert rows[0] == {
        "example_id": "a,b", "given_label": "cat, grey", "suggested_label": "dog <&>", "suspicion": "0.9",
        "is_issue": "True",
    }  # fmt: skip


def test_suspicion_has_four_digits_in_the_spreadsheet_and_all_in_the_table(tmp_path):
    issues = dataclasses.replace(judged(), suspicion=np.full(6, 1 / 3))
    write_issues(issues, tmp_path)
    assert set(pd.read_csv(tmp_path / "label_issues.csv")["suspicion"]) == {0.3333}
    assert set(pd.read_parquet(tmp_path / "label_issues.parquet")["suspicion"]) == {1 / 3}


def test_the_table_is_ranked_and_is_loaded_in_the_order_of_the_data(tmp_path):
    write_issues(judged(), tmp_path)
    frame = pd.read_parquet(tmp_path / "label_issues.parquet")
    assert frame["row"].tolist() == [0, 4, 1, 2, 3, 5]
    assert frame["suspicion"].is_monotonic_decreasing
    assert noiseproof.load_issues(tmp_path).ids.tolist() == list(HOSTILE)


def test_a_table_of_before_without_rows_is_loaded_as_it_is(tmp_path):
    write_issues(judged(), tmp_path)
    file = tmp_path / "label_issues.parquet"
    pd.read_parquet(file).drop(columns="row").to_parquet(file, index=False)
    rewritten(tmp_path / "label_issues.json", table_sha256=None)
    assert noiseproof.load_issues(tmp_path).ids.tolist() == [HOSTILE[k] for k in (0, 4, 1, 2, 3, 5)]


@pytest.mark.parametrize("name", ["label_issues.parquet", "label_issues.json"])
def test_files_that_were_changed_are_named(tmp_path, name):
    write_issues(judged(), tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[-20] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        DamagedFile, match=rf"{name}' is damaged: .*Next: delete it and start the same command"
    ):
        noiseproof.load_issues(tmp_path)


def test_who_asks_for_csv_learns_where_it_is(tmp_path):
    with pytest.raises(UnknownName, match=r"'csv' is gone: .* always write label_issues\.csv"):
        noiseproof.export_issues(judged(), tmp_path / "i.csv", format="csv")


def test_integer_labels_stay_integers(tmp_path):
    labels = np.array([3, 7, 3, 7])
    issues = noiseproof.find_label_issues(np.eye(2)[[0, 1, 0, 1]] * 9, labels)
    (path,) = noiseproof.export_issues(issues, tmp_path / "i.json", format="json")
    assert {record["given_label"] for record in json.loads(path.read_text())["issues"]} == {3, 7}
    (path,) = noiseproof.export_issues(issues, tmp_path / "c.csv", format="cleanlab")
    assert pd.read_csv(path)["given_label"].tolist() == [0, 1, 0, 1]
    assert pd.read_csv(path)["given_name"].tolist() == labels.tolist()


def test_json_has_a_summary_and_a_record_per_example(tmp_path):
    (path,) = noiseproof.export_issues(judged(), tmp_path / "issues.json", format="json")
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["summary"]["num_issues"] == 2
    assert document["summary"]["notes"] == ["made up"]
    assert document["summary"]["against_truth"] is None
    assert {record["example_id"] for record in document["issues"]} == set(HOSTILE)
    assert document["issues"][0]["suspicion"] == 0.9


def test_true_labels_of_the_data_are_in_json(tmp_path):
    (tmp_path / "t.csv").write_text("text,label,truth\nx,cat,cat\ny,cat,dog\nz,dog,dog\n")
    issues = judged(["t/0", "t/1", "t/2"], given=(0, 0, 1), suggested=(0, 1, 1), names=("cat", "dog"))
    data = {"data": str(tmp_path / "t.csv"), "clean_label": "truth"}
    (path,) = noiseproof.export_issues(issues, tmp_path / "i.json", format="json", **data, label="label")
    assert [record["clean_label"] for record in json.loads(path.read_text())["issues"]] == [
        "dog",
        "cat",
        "dog",
    ]
    assert json.loads(path.read_text())["summary"]["against_truth"]["precision"] == 1.0


@pytest.mark.parametrize("name", ["c.csv", "c.parquet"])
def test_cleanlab_takes_the_table_as_its_own(tmp_path, name):
    cleanlab = pytest.importorskip("cleanlab.classification")
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    given = np.arange(40) % 2
    features = np.eye(2)[given] * 3 + rng.normal(size=(40, 2))
    one_process = {"n_jobs": 1}  # a fork beside the threads of torch may wait for ever
    learner = cleanlab.CleanLearning(LogisticRegression(), seed=0, find_label_issues_kwargs=one_process)
    theirs = learner.find_label_issues(features, given)
    issues = noiseproof.find_label_issues(features, given)
    (path,) = noiseproof.export_issues(issues, tmp_path / name, format="cleanlab")
    ours = pd.read_parquet(path) if name.endswith("parquet") else pd.read_csv(path)
    assert set(theirs.columns) <= set(ours.columns)
    assert [ours[column].dtype.kind for column in theirs] == [theirs[column].dtype.kind for column in theirs]
    np.testing.assert_allclose(ours["label_quality"], 1 - issues.suspicion)
    cleanlab.CleanLearning(LogisticRegression(), seed=0).fit(features, given, label_issues=ours)


def test_fiftyone_gets_files_labels_and_attributes_by_one_key(tmp_path, photos):
    issues, dataset = of_folder(photos)
    written = noiseproof.export_issues(issues, tmp_path / "fo", format="fiftyone", data=str(photos))
    assert sorted(path.name for path in written) == ["data.json", "labels.json"]
    media, labels = (json.loads((tmp_path / "fo" / f"{n}.json").read_text()) for n in ("data", "labels"))
    assert media.keys() == labels["labels"].keys()
    entry = labels["labels"]["00000001"]
    assert media["00000001"] == str(photos / dataset.ids[1])
    assert labels["classes"][entry["label"]] == "cat"
    assert entry["confidence"] == pytest.approx(1 - issues.suspicion[1])
    assert entry["attributes"]["suggested_label"] == "dog"
    assert entry["attributes"]["is_issue"] is True


def test_label_studio_gets_a_task_per_image_and_choices_that_its_configuration_has(tmp_path, photos):
    from urllib.parse import unquote

    issues, dataset = of_folder(photos)
    path, config = noiseproof.export_issues(
        issues, tmp_path / "tasks.json", format="label-studio", data=str(photos)
    )
    tasks, view = json.loads(path.read_text()), ElementTree.parse(config).getroot()
    choices = view.find("Choices")
    assert len(tasks) == len(dataset)
    first = tasks[0]
    served = unquote(first["data"]["image"].removeprefix("/data/local-files/?d="))
    assert (photos.parent / served) == photos / dataset.ids[1]
    (prediction,) = first["predictions"]
    (result,) = prediction["result"]
    assert prediction["score"] == issues.suspicion[1] == first["data"]["suspicion"]
    assert result["value"]["choices"] == ["dog"]
    assert (result["from_name"], result["to_name"]) == (choices.get("name"), choices.get("toName"))
    assert view.find("Image").get("name") == result["to_name"]
    assert [choice.get("value") for choice in choices] == ["cat", "dog"]


def test_label_studio_gets_texts_and_hostile_class_names(tmp_path):
    (tmp_path / "t.csv").write_text('text,label\n"a, b",<x> & "y"\nc,é\n')
    names = ('<x> & "y"', "é")
    issues = judged(["t/0", "t/1"], given=(0, 1), suggested=(1, 1), names=names)
    path, config = noiseproof.export_issues(
        issues, tmp_path / "tasks.json", format="label-studio", data=str(tmp_path / "t.csv")
    )
    assert json.loads(path.read_text())[0]["data"]["text"] == "a, b"
    choices = ElementTree.parse(config).getroot().find("Choices")
    assert tuple(choice.get("value") for choice in choices) == names


@pytest.mark.parametrize("format", ["fiftyone", "label-studio"])
def test_features_cannot_be_looked_at(tmp_path, format):
    np.savez(tmp_path / "f.npz", features=np.eye(2), labels=[0, 1], ids=["a", "b"])
    issues = judged(["a", "b"], given=(0, 1), suggested=(1, 1), names=("0", "1"))
    with pytest.raises(
        InvalidArgument, match=rf"`export` is '{format}'; allowed: this format for image files"
    ):
        noiseproof.export_issues(issues, tmp_path / "x", format=format, data=str(tmp_path / "f.npz"))
    assert {path.name for path in tmp_path.iterdir()} == {"f.npz"}


@pytest.mark.parametrize("format", [name for name in FORMATS if name not in ("json", "cleanlab")])
def test_formats_that_need_the_data_say_so(tmp_path, format):
    with pytest.raises(InvalidArgument, match=rf"`data` is None; allowed: .* the format '{format}'"):
        noiseproof.export_issues(judged(), tmp_path / "x.csv", format=format)


def test_unknown_format_is_named_with_those_there_are(tmp_path):
    with pytest.raises(UnknownName, match=r"Unknown export format 'fiftyon'\. Did you mean 'fiftyone'"):
        noiseproof.export_issues(judged(), tmp_path / "x", format="fiftyon")
    assert len(FORMATS) == 6


def test_issues_of_other_data_are_refused(tmp_path, photos):
    with pytest.raises(BadData, match=r"has no example 'a,b' \(6 of 6 .*`ids=dataset\.ids`"):
        noiseproof.export_issues(judged(), tmp_path / "fo", format="fiftyone", data=str(photos))


def test_a_file_of_somebody_else_stays_and_the_same_export_may_be_written_again(tmp_path):
    path = tmp_path / "issues.csv"
    path.write_text("mine")
    with pytest.raises(InvalidArgument, match=r"`path` is .*; allowed: a path without a file"):
        noiseproof.export_issues(judged(), path, format="cleanlab")
    assert path.read_text() == "mine"
    assert {each.name for each in tmp_path.iterdir()} == {"issues.csv"}
    path.unlink()
    for _ in range(2):
        noiseproof.export_issues(judged(), path, format="cleanlab")


def test_of_two_files_none_is_replaced_where_one_is_somebody_elses(tmp_path, photos):
    (tmp_path / "fo").mkdir()
    (tmp_path / "fo" / "labels.json").write_text("mine")
    with pytest.raises(InvalidArgument, match=r"labels\.json"):
        noiseproof.export_issues(of_folder(photos)[0], tmp_path / "fo", format="fiftyone", data=str(photos))
    assert {path.name for path in (tmp_path / "fo").iterdir()} == {"labels.json"}


def test_issues_come_back_from_their_files(tmp_path):
    issues = judged()
    write_issues(issues, tmp_path)
    back = noiseproof.load_issues(tmp_path)
    pd.testing.assert_frame_equal(back.to_frame(), issues.to_frame())
    np.testing.assert_allclose(back.joint, issues.joint)
    assert back.class_names == NAMES
    assert back.notes == issues.notes
