"""Decisions of people stay with the data that they cleaned: `detect` and `run` know them in every format."""

import csv
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from blobs import save_blobs
from searched import CLASSES, GIVEN, made, save_csv, search

import noiseproof
from noiseproof.config.apply import ApplyConfig
from noiseproof.config.detect import DetectConfig
from noiseproof.config.run import RunConfig
from noiseproof.config.values import load_config
from noiseproof.core.errors import BadData, DamagedFile, InvalidArgument
from noiseproof.pipelines.apply import apply
from noiseproof.pipelines.detect import detect
from noiseproof.pipelines.inputs.cleaned_copies import labels_before_cleaning
from noiseproof.pipelines.reviewed.kept_page import decided_ids, keep_known
from noiseproof.pipelines.run import run
from noiseproof.review.review_page import read_page

FORMATS = ("csv", "tsv", "jsonl", "parquet", "npz", "folder", "list")


def clean(folder, rows, out, **options):
    """Apply decisions, (id, decision, label) each."""
    with (folder.parent / "mine.csv").open("w", newline="") as file:
        out_file = csv.writer(file)
        out_file.writerow(["example_id", "decision", "label", "who"])
        out_file.writerows([*row, "ann"] for row in rows)
    own = {"folder": folder, "out": out, "decisions": [folder.parent / "mine.csv"]}
    return apply(load_config(ApplyConfig, options=own | options))


def search_again(data, out, *, wrong=()):
    """Detect in cleaned data with probabilities that doubt the labels of some ids."""
    dataset = noiseproof.open_dataset(str(data))
    probs = np.where(np.arange(2) == dataset.given_labels[:, None], 0.9, 0.1)
    doubted = np.isin(dataset.ids.astype(str), list(wrong))
    probs[doubted] = probs[doubted, ::-1]
    np.save(out.parent / "again.npy", probs)
    return detect(
        load_config(DetectConfig, options={"train": str(data), "out": out, "probs": out.parent / "again.npy"})
    )


def flagged(result):
    return set(result.issues.ids[result.issues.is_issue].astype(str).tolist())


@pytest.fixture
def cleaned(tmp_path):
    """A function from a format to the cleaned folder: 0 corrected, 4 kept, 1 unsure, 2 excluded."""

    def make(name):
        data, ids = made(name, tmp_path)
        search(data, tmp_path / "issues")
        rows = [
            (ids[0], "accept", "cat"),
            (ids[4], "keep", ""),
            (ids[1], "unsure", ""),
            (ids[2], "exclude", ""),
        ]
        done = clean(tmp_path / "issues", rows, tmp_path / "cleaned")
        return done.data, ids

    return make


@pytest.mark.slow_but_first
@pytest.mark.parametrize("name", FORMATS)
def test_decided_labels_are_known_and_not_flagged_again(cleaned, tmp_path, name):
    data, ids = cleaned(name)
    corrected = "cat/0-from-bee.png" if name == "folder" else ids[0]
    for address in (data.parent, data):
        result = search_again(address, tmp_path / "again", wrong=[corrected, ids[4], ids[5]])
        flags = dict(
            zip(result.issues.ids.astype(str).tolist(), result.issues.is_issue.tolist(), strict=True)
        )
        assert {each for each, is_issue in flags.items() if is_issue} == {ids[5]}
        reviewed = result.card["reviewed"]
        assert [reviewed[key] for key in ("num_checked", "num_wrong", "num_corrected")] == [2, 1, 1]
        assert decided_ids(tmp_path / "again") == {corrected, ids[4]}
        assert not (tmp_path / "again" / "decisions.csv").exists()
        (note,) = (each for each in result.card["notes"] if each.startswith("3 decisions of people in "))
        assert note.endswith(" count here; 1 example that they excluded is not in these data.")


@pytest.mark.slow_but_first
@pytest.mark.parametrize("name", FORMATS)
def test_a_label_that_was_changed_by_hand_afterwards_is_not_decided(cleaned, tmp_path, name):
    data, ids = cleaned(name)
    changed = change_by_hand(data, ids[4])
    result = search_again(data.parent, tmp_path / "again", wrong=[changed])
    assert flagged(result) == {changed}
    assert result.card["reviewed"]["num_checked"] == 1
    if name != "folder":  # there the id has the class in it
        (note,) = (one for one in result.card["notes"] if "does not count" in one)
        assert note.startswith("1 decision in ")
        assert f"changed by hand afterwards: {ids[4]!r}. Next: decide again." in note


def change_by_hand(data, example):
    """Give an example the label bee; returns its id."""
    if data.is_dir():
        (data / example).rename(data / "bee" / "moved.png")
        return "bee/moved.png"
    if data.suffix == ".npz":
        arrays = dict(np.load(data))
        arrays["labels"][arrays["ids"] == example] = "bee"
        np.savez(data, **arrays)
    elif data.suffix == ".parquet":
        frame = pd.read_parquet(data)
        frame.loc[frame.iloc[:, 0] == example, "label"] = "bee"
        frame.to_parquet(data)
    else:
        lines = data.read_text().splitlines(keepends=True)
        row = next(k for k, line in enumerate(lines) if example in line and "keep" in line)
        lines[row] = lines[row].replace("cat", "bee", 1) if "png" not in example else with_label(lines[row])
        data.write_text("".join(lines))
    return example


def with_label(line):
    cells = line.split(",")
    return ",".join([*cells[:2], "bee", *cells[3:]])


def test_another_image_under_a_decided_name_is_not_decided(cleaned, tmp_path):
    data, _ = cleaned("folder")
    other = (data / "cat" / "3.png").read_bytes()
    (data / "cat" / "0.png").unlink()  # a hard link to the original
    (data / "cat" / "0.png").write_bytes(other)
    result = search_again(data, tmp_path / "again")
    assert result.card["reviewed"]["num_checked"] == 1
    assert any("changed by hand afterwards: 'cat/0.png'" in note for note in result.card["notes"])


@pytest.mark.parametrize("place", ["mine", "../elsewhere/photos", "../elsewhere/other"])
def test_decisions_go_along_with_a_class_folder_that_is_copied_or_renamed(cleaned, tmp_path, place):
    data, ids = cleaned("folder")
    copy = data.parent / place
    shutil.copytree(data, copy)
    in_place = search_again(data, tmp_path / "first", wrong=[ids[4]])
    result = search_again(copy, tmp_path / "again", wrong=[ids[4]])
    assert flagged(result) == flagged(in_place) == set()
    assert result.card["reviewed"] == in_place.card["reviewed"]
    before, after = (labels_before(each) for each in (data, copy))
    assert before == after != noiseproof.open_dataset(str(data)).given_labels.tolist()
    (copy / "cat" / "0.png").write_bytes((copy / "cat" / "3.png").read_bytes())
    changed = search_again(copy, tmp_path / "again", wrong=[ids[4]])
    assert any("changed by hand afterwards: 'cat/0.png'" in note for note in changed.card["notes"])


def labels_before(folder):
    dataset = noiseproof.open_dataset(str(folder))
    config = RunConfig(train=str(folder), out="run")
    return labels_before_cleaning(config, str(folder), dataset).labels.tolist()


def test_the_record_in_a_copied_folder_is_checked(cleaned, tmp_path):
    data, _ = cleaned("folder")
    copy = shutil.copytree(data, tmp_path / "copy")
    record = copy / ".decisions.json"
    record.write_text(record.read_text().replace('"keep"', '"kept"'))
    with pytest.raises(DamagedFile, match=r"\.decisions\.json' is damaged: .* Next: copy the folder again"):
        search_again(copy, tmp_path / "again")


def test_a_later_decision_about_cleaned_data_counts_and_both_stay_apart(cleaned, tmp_path):
    data, ids = cleaned("csv")
    search_again(data, tmp_path / "again", wrong=[ids[4]])
    done = clean(tmp_path / "again", [(ids[4], "relabel", "bee"), (ids[6], "keep", "")], tmp_path / "twice")
    counts = {name: done.card[f"num_{name}"] for name in ("decided", "decided_before", "kept", "relabelled")}
    assert counts == {"decided": 2, "decided_before": 2, "kept": 1, "relabelled": 1}
    rows = pd.read_csv(done.data, keep_default_na=False).set_index("id", drop=False).to_dict("index")
    shown = ("label", "original_label", "decision", "decided_label", "decided_by")
    assert [rows[ids[4]][name] for name in shown] == ["bee", "cat", "relabel", "bee", "ann"]
    assert [rows[ids[0]][name] for name in shown] == ["cat", "bee", "accept", "cat", "ann"]
    assert [rows[ids[1]][name] for name in shown] == ["bee", "bee", "unsure", "", "ann"]
    assert not any(name.endswith("_2") for name in rows[ids[0]])
    kept = pd.read_csv(tmp_path / "again" / "decisions.csv")
    assert kept["example_id"].tolist() == [ids[4], ids[6]]
    changes = pd.read_csv(tmp_path / "twice" / "changes.csv")
    assert changes["example_id"].tolist() == [ids[4], ids[6]]


@pytest.mark.parametrize(
    ("column", "cell", "counts"),
    [
        ("decided_at", "", True), ("decided_at", "yesterday", True), ("decided_at", "01/12/2026 10:00", True),
        ("decision", " Keep ", True), ("decision", "kept", False),
    ],
)  # fmt: skip
def test_a_decision_that_a_spreadsheet_wrote_in_another_way(cleaned, tmp_path, column, cell, counts):
    data, ids = cleaned("csv")
    frame = pd.read_csv(data, keep_default_na=False)
    frame.loc[frame["id"] == ids[4], column] = cell
    frame.to_csv(data, index=False)
    result = search_again(data.parent, tmp_path / "again", wrong=[ids[0], ids[4]])
    assert flagged(result) == (set() if counts else {ids[4]})
    note = f"changed by hand afterwards: {ids[4]!r}"
    assert any(note in each for each in result.card["notes"]) is not counts
    keep_known(tmp_path / "again", result.issues, read_page(result.review).identity)
    assert not (tmp_path / "again" / "decisions.csv").exists()
    assert {ids[0], *([ids[4]] if counts else [])} <= decided_ids(tmp_path / "again")


def test_a_cleaned_copy_by_the_detector_has_no_decisions(tmp_path):
    data, ids = made("csv", tmp_path)
    found = search(data, tmp_path / "issues", export=["cleaned-relabel"])
    result = search_again(found.exports["cleaned-relabel"], tmp_path / "again", wrong=ids[:1])
    assert result.issues.is_issue.tolist()[0]
    assert result.card["reviewed"] is None


def test_columns_of_somebody_else_are_no_decisions(tmp_path):
    path = tmp_path / "court.csv"
    rows = [f"t{row},text {row},{CLASSES[label]},keep,judge" for row, label in enumerate(GIVEN)]
    path.write_text("id,text,label,decision,decided_by\n" + "\n".join(rows) + "\n")
    assert search(path, tmp_path / "issues").card["reviewed"] is None
    done = clean(tmp_path / "issues", [("t0", "accept", "cat")], tmp_path / "cleaned")
    first = pd.read_csv(done.data).iloc[0]
    assert [first[name] for name in ("decision", "decision_2", "decided_by_2")] == ["keep", "accept", "ann"]
    result = search_again(done.data, tmp_path / "again", wrong=["t0", "t1"])
    assert flagged(result) == {"t1"}


def test_an_edited_record_of_brought_decisions_is_refused(cleaned, tmp_path):
    data, ids = cleaned("csv")
    search_again(data, tmp_path / "again", wrong=[ids[5]])
    record = tmp_path / "again" / "brought_decisions.json"
    record.write_text(record.read_text().replace('"keep"', '"exclude"'))
    with pytest.raises(DamagedFile, match=r"brought_decisions\.json"):
        clean(tmp_path / "again", [(ids[5], "keep", "")], tmp_path / "twice")
    with pytest.raises(DamagedFile, match=r"brought_decisions\.json"):
        decided_ids(tmp_path / "again")


def test_decisions_count_for_precision_and_rate_as_those_of_the_folder(tmp_path):
    """The numbers on cleaned data are those of the folder, but for the labels that were corrected since."""
    n = 300
    path = save_blobs(tmp_path / "train.npz", n=n, seed=1, spread=1.5)
    arrays = dict(np.load(path))
    truth, names = arrays["labels"].copy(), arrays["class_names"]
    arrays["labels"] = np.where(np.arange(n) % 10 == 0, (truth + 1) % 3, truth)
    np.savez(path, **arrays)
    options = {"train": str(path), "out": tmp_path / "issues", "cache": tmp_path / "cache"}
    first = detect(load_config(DetectConfig, options=options))
    rows = np.argsort(-first.issues.suspicion, kind="stable")[:60]
    decided = [(f"train/{row}", "relabel", names[truth[row]]) for row in rows]
    done = clean(tmp_path / "issues", decided, tmp_path / "cleaned")
    of_folder = detect(load_config(DetectConfig, options=options)).card["reviewed"]
    own = {"train": str(done.data.parent), "out": tmp_path / "again"}
    of_data = detect(load_config(DetectConfig, options=options | own)).card["reviewed"]
    same = ("num_checked", "num_wrong", "num_flagged", "num_flagged_wrong", "precision", "next_wrong")
    assert {name: of_data[name] for name in same} == {name: of_folder[name] for name in same}
    assert (of_folder["num_corrected"], of_data["num_corrected"]) == (0, of_data["num_wrong"])
    left = of_folder["rate"]["value"] - of_folder["num_wrong"] / n
    assert of_data["rate"]["value"] == pytest.approx(left)


def test_labels_that_changed_since_they_were_judged_are_not_put_back(tmp_path):
    data, ids = made("csv", tmp_path)
    search(data, tmp_path / "issues")
    data.write_text(data.read_text().replace("text 3,bee", "text 3,cat"))
    with pytest.raises(
        BadData, match=r"'t3' had 'bee' and has 'cat' now; allowed: the labels that were judged"
    ):
        clean(tmp_path / "issues", [(ids[0], "keep", "")], tmp_path / "cleaned")
    again = search(data, tmp_path / "issues")
    assert json.loads((again.folder / "detection.json").read_text())["reviewed"] is None


def test_other_data_replace_neither_a_search_with_decisions_nor_its_cleaned_data(cleaned, tmp_path):
    data, _ = cleaned("folder")
    table = pd.read_csv(save_csv(tmp_path / "other.csv")).drop(columns="id")  # ids are row numbers
    table.to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(InvalidArgument, match=r"`out` is .*issues'; .* of 8 examples, of which .* has 0; "):
        search(tmp_path / "other.csv", tmp_path / "issues")
    search(tmp_path / "other.csv", tmp_path / "other")
    with pytest.raises(InvalidArgument, match=r"`out` is .*It has the cleaned data of .*issues'\. Next"):
        clean(tmp_path / "other", [("other/0", "keep", "")], tmp_path / "cleaned")
    assert len(list(data.glob("*/*.png"))) == 7
    (tmp_path / "issues").rename(tmp_path / "moved")  # the search in the same data may write there
    assert clean(tmp_path / "moved", [("bee/3.png", "keep", "")], tmp_path / "cleaned").data == data


def test_a_run_on_scores_does_not_replace_a_search_with_decisions(tmp_path):
    data, ids = made("npz", tmp_path)
    search(data, tmp_path / "issues")
    clean(tmp_path / "issues", [(ids[0], "keep", "")], tmp_path / "cleaned")
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "scores.npz", features=rng.normal(size=(40, 2)), labels=rng.normal(size=40))
    options = {"train": str(tmp_path / "scores.npz"), "out": tmp_path / "issues", "cache": tmp_path / "cache"}
    (tmp_path / "issues" / "detection.json").unlink()  # as after `run`
    with pytest.raises(InvalidArgument, match=r"`out` is .*issues'; .* of 8 examples, of which .* has 0; "):
        run(load_config(RunConfig, options=options))
