"""`noiseproof apply`: decisions of people become a cleaned data set."""

import csv
import os

import numpy as np
import pandas as pd
import pytest
from searched import made, save_csv, save_folder, save_npz, search
from typer.testing import CliRunner

import noiseproof
from noiseproof.cli.main import app
from noiseproof.config.apply import ApplyConfig
from noiseproof.config.detect import DetectConfig
from noiseproof.config.values import load_config
from noiseproof.core.errors import BadData, DamagedFile, InvalidArgument, MissingFile
from noiseproof.core.storage.checksums import to_line
from noiseproof.core.storage.files import locked_folder
from noiseproof.pipelines import run as pipeline
from noiseproof.pipelines.apply import apply
from noiseproof.pipelines.detect import detect
from noiseproof.pipelines.inputs.cleaned_copies import labels_before_cleaning
from noiseproof.report.headline import facts, headlines
from noiseproof.report.run_folder import load_run

HEADER = "example_id,decision,label,who,when\n"
T1, T2 = "2026-11-30T10:00:00Z", "2026-11-30T11:00:00Z"
OF_FOLDER = (
    f"bee/0.png,accept,cat,ann,{T1}\ncat/0.png,keep,cat,ann,{T1}\nbee/1.png,exclude,,ann,{T1}\n"
    f"cat/3.png,unsure,,bob,{T1}\nbee/2.png,relabel,cat,bob,{T1}\n"
)


@pytest.fixture
def applied(tmp_path):
    """A function from a data set, rows of decisions and options to the result."""

    def run(data, rows, *, header=HEADER, **options):
        if not (tmp_path / "issues").exists():
            search(data, tmp_path / "issues")
        file = tmp_path / "mine.csv"
        file.write_text(header + rows)
        own = {"folder": tmp_path / "issues", "out": tmp_path / "cleaned", "decisions": [file]}
        return apply(load_config(ApplyConfig, options=own | options))

    return run


def rows_of(path):
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def names(dataset):
    return dict(
        zip(dataset.ids.tolist(), (dataset.class_names[k] for k in dataset.given_labels), strict=True)
    )


def test_a_folder_becomes_a_folder_of_links_with_the_decided_labels(applied, tmp_path):
    data = save_folder(tmp_path / "photos")
    done = applied(data, OF_FOLDER)
    assert done.data == tmp_path / "cleaned" / "photos"
    cleaned = noiseproof.open_dataset(str(done.data))
    assert names(cleaned) == {
        "bee/3.png": "bee", "cat/0.png": "cat", "cat/0-from-bee.png": "cat", "cat/1.png": "cat",
        "cat/2.png": "cat", "cat/2-from-bee.png": "cat", "cat/3.png": "cat",
    }  # fmt: skip
    assert (done.data / "cat" / "0-from-bee.png").samefile(data / "bee" / "0.png")
    assert (data / "bee" / "0.png").exists()
    counts = ("decided", "kept", "relabelled", "excluded", "unsure")
    assert [done.card[f"num_{name}"] for name in counts] == [5, 1, 2, 1, 1]
    changes = rows_of(tmp_path / "cleaned" / "changes.csv")
    assert changes[0] == {
        "example_id": "bee/0.png", "decision": "accept", "label": "cat", "who": "ann", "when": T1,
        "original_label": "bee", "counts": "True",
    }  # fmt: skip
    kept = pd.read_csv(tmp_path / "issues" / "decisions.csv", keep_default_na=False)
    assert kept[HEADER.strip().split(",")].to_csv(index=False) == HEADER + OF_FOLDER
    assert kept["given_label"].tolist() == ["bee", "cat", "bee", "cat", "bee"]
    assert names(noiseproof.open_dataset(str(tmp_path / "cleaned"))) == names(cleaned)  # the folder is data


def test_no_empty_folder_is_left_of_an_earlier_start(applied, tmp_path):
    data = save_folder(tmp_path / "photos")
    applied(data, f"bee/0.png,relabel,wasp,ann,{T1}\n", allow_new_class=True)
    rows = "".join(f"bee/{k}.png,relabel,cat,ann,{T2}\n" for k in range(4))
    applied(data, rows, allow_new_class=True)
    assert [path.name for path in (tmp_path / "cleaned" / "photos").iterdir() if path.is_dir()] == ["cat"]
    data.rename(tmp_path / "pictures")
    search(tmp_path / "pictures", tmp_path / "renamed")
    applied(data, f"bee/0.png,keep,,ann,{T2}\n", folder=tmp_path / "renamed")
    folders = {path.name for path in (tmp_path / "cleaned").iterdir() if path.is_dir()}
    assert folders == {".stages", "pictures"}


def test_a_disk_without_links_gets_copies(applied, tmp_path, monkeypatch):
    def refuse(*names):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    data = save_folder(tmp_path / "photos")
    done = applied(data, OF_FOLDER)
    copy = done.data / "cat" / "0-from-bee.png"
    assert copy.read_bytes() == (data / "bee" / "0.png").read_bytes()
    assert not copy.samefile(data / "bee" / "0.png")


def test_a_table_stays_the_table_with_the_old_label_and_the_person_beside(applied, tmp_path):
    done = applied(
        save_csv(tmp_path / "train.csv"), f"t0,accept,cat,ann,{T1}\nt4,keep,,bob,{T1}\nt1,exclude,,ann,\n"
    )
    rows = rows_of(done.data)
    assert done.data.name == "train.csv"
    assert [row["id"] for row in rows] == ["t0", "t2", "t3", "t4", "t5", "t6", "t7"]
    shown = ("label", "original_label", "decision", "decided_by")
    assert [rows[0][name] for name in shown] == ["cat", "bee", "accept", "ann"]
    assert [rows[3][name] for name in shown] == ["cat", "cat", "keep", "bob"]
    assert [rows[1][name] for name in shown] == ["bee", "bee", "", ""]


@pytest.mark.parametrize("suffix", ["tsv", "jsonl", "parquet"])
def test_other_tables_keep_their_format(applied, tmp_path, suffix):
    frame = pd.read_csv(save_csv(tmp_path / "first.csv"))
    path = tmp_path / f"train.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    elif suffix == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, sep="\t", index=False)
    done = applied(path, "t0,accept,,ann,\n")
    assert done.data.name == path.name
    assert names(noiseproof.open_dataset(str(done.data)))["t0"] == "cat"


def test_an_archive_of_features_gets_the_decided_labels(applied, tmp_path):
    done = applied(save_npz(tmp_path / "features.npz"), "r0,accept,,ann,\nr1,exclude,,ann,\n")
    arrays = np.load(done.data)
    assert arrays["labels"].tolist() == ["cat", "bee", "bee", "cat", "cat", "cat", "cat"]
    assert arrays["original_label"].tolist()[0] == "bee"
    assert arrays["decided_by"].tolist()[:2] == ["ann", ""]
    assert len(arrays["features"]) == 7


def test_an_archive_may_have_its_labels_as_a_column(applied, tmp_path):
    done = applied(
        save_npz(tmp_path / "features.npz", np.array([[0], [0], [0], [0], [1], [1], [1], [1]])),
        "r0,accept,,,\n",
    )
    assert names(noiseproof.open_dataset(str(done.data)))["r0"] == "1"


@pytest.mark.parametrize("name", ["id", "example_id"])
def test_an_archive_may_call_its_ids_otherwise(applied, tmp_path, name):
    arrays = dict(np.load(save_npz(tmp_path / "features.npz")))
    np.savez(
        tmp_path / "features.npz", **{name if key == "ids" else key: each for key, each in arrays.items()}
    )
    done = applied(tmp_path / "features.npz", "r0,accept,,,\n")
    assert names(noiseproof.open_dataset(str(done.data)))["r0"] == "cat"


def test_again_replaces_what_it_wrote_and_nothing_of_somebody_else(applied, tmp_path):
    data = save_folder(tmp_path / "photos")
    applied(data, OF_FOLDER)
    everything = "".join(f"bee/{k}.png,relabel,cat,ann,{T2}\n" for k in range(4))
    done = applied(data, OF_FOLDER + everything + f"cat/1.png,relabel,bee,ann,{T2}\n")
    assert sorted(path.name for path in (done.data / "bee").iterdir()) == ["1-from-cat.png"]
    assert len(list((done.data / "cat").iterdir())) == 7
    before = (done.data / "bee").stat().st_mtime_ns
    applied(data, OF_FOLDER + everything + f"cat/1.png,relabel,bee,ann,{T2}\n")
    assert (done.data / "bee").stat().st_mtime_ns == before


def test_a_folder_that_another_process_writes_to_is_refused(applied, tmp_path):
    data = save_folder(tmp_path / "photos")
    search(data, tmp_path / "issues")
    with (
        locked_folder(tmp_path / "issues"),
        pytest.raises(InvalidArgument, match=r"`folder` is .*issues', which another noiseproof is writing"),
    ):
        applied(data, OF_FOLDER)
    assert not (tmp_path / "cleaned").exists()


def test_an_edited_cleaned_table_is_not_replaced(applied, tmp_path):
    data = save_csv(tmp_path / "train.csv")
    done = applied(data, "t0,accept,,ann,\n")
    done.data.write_text(done.data.read_text() + "t9,mine,cat,cat,,\n")
    with pytest.raises(InvalidArgument, match=r"'train.csv' was changed since, and would be replaced"):
        applied(data, "t0,keep,,ann,\n")


def test_an_edited_list_of_the_labels_of_a_cleaned_folder_is_not_replaced(applied, tmp_path):
    data = save_folder(tmp_path / "photos")
    file = applied(data, OF_FOLDER).data.parent / "labels.csv"
    file.write_text(file.read_text() + "mine,bee,bee,,\n")
    with pytest.raises(InvalidArgument, match=r"'labels.csv' was changed since, and would be replaced"):
        applied(data, f"bee/2.png,keep,,ann,{T2}\n")
    assert "mine" in file.read_text()


def test_the_later_of_two_decisions_counts_and_both_are_kept(applied, tmp_path):
    data = save_csv(tmp_path / "train.csv")
    done = applied(data, f"t0,keep,,ann,{T2}\nt0,accept,,bob,{T1}\n")
    assert rows_of(done.data)[0]["label"] == "bee"
    changes = rows_of(tmp_path / "cleaned" / "changes.csv")
    assert [(row["who"], row["counts"]) for row in changes] == [("ann", "True"), ("bob", "False")]
    assert len(rows_of(tmp_path / "issues" / "decisions.csv")) == 2
    assert done.card["notes"] == [
        "Decisions on 1 example disagree (t0); the later one counts, and all are in decisions.csv."
    ]


def test_a_new_class_is_refused_then_allowed(applied, tmp_path):
    data, rows = save_csv(tmp_path / "train.csv"), "t0,relabel,ant,ann,\n"
    with pytest.raises(BadData, match=r"(?s)no class of the data, such as that of 't0'.*`allow_new_class`"):
        applied(data, rows)
    assert not (tmp_path / "cleaned").exists()
    done = applied(data, rows, allow_new_class=True)
    assert rows_of(done.data)[0]["label"] == "ant"
    assert done.card["notes"] == ["New class 'ant': 1 example."]


def test_a_new_class_of_a_folder_is_a_folder_with_a_safe_name(applied, tmp_path):
    data = save_folder(tmp_path / "photos")
    done = applied(data, "bee/0.png,relabel,ant,ann,\n", allow_new_class=True)
    assert [path.name for path in (done.data / "ant").iterdir()] == ["0.png"]
    for name in ("../ant", ".ant", "a/b", ".."):
        with pytest.raises(BadData, match="cannot be a folder"):
            applied(data, f"bee/0.png,relabel,{name},ann,\n", allow_new_class=True)


@pytest.mark.parametrize(
    ("labels", "extra", "expected"),
    [
        (np.array([0, 0, 0, 0, 1, 1, 1, 1]), {"class_names": ["bee", "cat"]}, ["bee", "cat", "ant"]),
        (np.array([0, 0, 0, 0, 1, 1, 1, 1]), {}, "cannot be put in"),
    ],
)
def test_a_new_class_of_an_archive_of_numbers_needs_names(applied, tmp_path, labels, extra, expected):
    path = save_npz(tmp_path / "features.npz", labels)
    np.savez(path, **dict(np.load(path)), **extra)
    if isinstance(expected, str):
        with pytest.raises(BadData, match=expected):
            applied(path, "r0,relabel,ant,ann,\n", allow_new_class=True)
        return
    done = applied(path, "r0,relabel,ant,ann,\n", allow_new_class=True)
    arrays = np.load(done.data)
    assert arrays["class_names"].tolist() == expected
    assert arrays["labels"].tolist()[0] == 2
    assert names(noiseproof.open_dataset(str(done.data)))["r0"] == "ant"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("t9,keep,,ann,\n", r"decides on 't9' \(1 of 1 decision\), which are no examples here"),
        (
            "t0,keep,cat,ann,\n",
            r"1 of 1 decision in '.*' cannot be about this data: 't0' had the label 'cat' and has 'bee' now",
        ),
        ("t0,drop,,ann,\n", r"Unknown decision in Line 2 of .*'drop'"),
        ("t0,relabel,,ann,\n", "relabel without a label"),
        ("t0,keep,,ann,yesterday\n", r"`when` in Line 2 .* is 'yesterday'; allowed: ISO 8601"),
        ("t0,keep,,ann,2026-11-30T1", "so the file seems to be cut"),
        (f"t0,keep,,ann,{T1}\nt1,ke", "cannot be read as a table"),
        ("", "has a header and no rows"),
        ("t0,keep,,ann,\nt0,accept,,bob,\n", r"People disagree on 1 example.*'t0' \(ann: bee; bob: cat\)"),
        ("t0,keep,,,\nt0,accept,,,\n", "People disagree on 1 example"),
    ],
)
def test_decisions_that_cannot_be_used_are_refused_by_name(applied, tmp_path, rows, message):
    with pytest.raises((BadData, ValueError), match=message):
        applied(save_csv(tmp_path / "train.csv"), rows)
    assert not (tmp_path / "cleaned").exists()
    assert not (tmp_path / "issues" / "decisions.csv").exists()


def test_data_that_changed_since_the_search_is_refused(applied, tmp_path):
    data = save_csv(tmp_path / "train.csv")
    search(data, tmp_path / "issues")
    data.write_text(data.read_text().replace("text 3", "another text"))
    with pytest.raises(BadData, match="have changed since"):
        applied(data, "t0,keep,,ann,\n")


def test_half_done_decisions_are_refused_where_completeness_is_required(applied, tmp_path):
    data = save_csv(tmp_path / "train.csv")
    with pytest.raises(
        BadData, match=r"^1 of 2 labels flagged as wrong is undecided or unsure, such as 't4'"
    ):
        applied(data, "t0,keep,,ann,\nt4,unsure,,ann,\n", require_complete=True)
    done = applied(data, "t0,keep,,ann,\nt4,accept,,ann,\n", require_complete=True)
    assert done.card["num_undecided_issues"] == 0


def test_decisions_of_the_folder_count_beside_those_of_a_file(applied, tmp_path):
    data = save_csv(tmp_path / "train.csv")
    applied(data, "t0,keep,,ann,\n")
    done = applied(data, "t1,keep,,ann,\n")
    assert done.card["num_decided"] == 2
    assert done.card["notes"] == ["Decisions on 1 more example are known from decisions.csv."]
    assert [row["example_id"] for row in rows_of(tmp_path / "issues" / "decisions.csv")] == ["t0", "t1"]
    again = applied(data, "t1,exclude,,ann,2100-01-01\n")
    assert again.card["num_excluded"] == 1
    assert len(rows_of(tmp_path / "issues" / "decisions.csv")) == 3  # both of ann on t1


def test_a_corrected_form_without_names_replaces_what_it_said_before(applied, tmp_path):
    data = save_csv(tmp_path / "train.csv")
    applied(data, "t0,keep,,,\nt4,keep,,,\n")
    done = applied(data, "t0,accept,,,\nt4,keep,,,\n")
    assert done.card["num_relabelled"] == 1
    assert done.card["notes"] == ["1 decision without a name is replaced."]
    with pytest.raises(BadData, match=r"People disagree on 1 example\b.*'t4'"):
        applied(data, "t4,exclude,,bob,\n")


def test_a_row_without_a_time_is_as_old_as_its_first_apply(applied, tmp_path):
    data = save_csv(tmp_path / "train.csv")
    applied(data, "t0,keep,,ann,\n")
    (kept,) = rows_of(tmp_path / "issues" / "decisions.csv")
    assert kept["when"]
    later = "t0,accept,,bob,2100-01-01T00:00:00Z\n"
    assert applied(data, later).card["num_relabelled"] == 1
    done = applied(data, "t0,keep,,ann,\n")  # the same file again is no new decision
    assert done.card["num_relabelled"] == 1
    assert rows_of(tmp_path / "issues" / "decisions.csv")[0] == kept


def test_a_form_again_does_not_replace_what_was_decided_on_the_page_without_a_name(applied, tmp_path):
    data = save_csv(tmp_path / "train.csv")
    applied(data, "t0,keep,,,\n")
    line = {"example_id": "t0", "decision": "accept", "label": "cat", "who": "", "when": "2100-01-01"}
    (tmp_path / "issues" / "decisions.jsonl").write_text(to_line(line) + "\n")
    with pytest.raises(BadData, match="People disagree on 1 example"):
        applied(data, "t0,keep,,,\n")


def test_accepting_another_label_than_the_suggested_one_is_noted(applied, tmp_path):
    data = save_csv(tmp_path / "train.csv")
    done = applied(data, "t0,accept,bee,ann,\nt4,accept,bee,ann,\n")
    assert done.card["notes"] == [
        "1 decision accepts another label than the suggested one, such as 'bee' for 't0' (suggested: 'cat'); "
        "the accepted label counts."
    ]


def test_without_a_file_the_log_of_the_folder_is_taken_and_a_line_cut_by_a_kill_is_not(tmp_path):
    search(save_csv(tmp_path / "train.csv"), tmp_path / "issues")
    options = {"folder": tmp_path / "issues", "out": tmp_path / "cleaned"}
    with pytest.raises(MissingFile, match=r"has no decisions\. Next: decide in its review\.html"):
        apply(load_config(ApplyConfig, options=options))
    line = to_line({"example_id": "t0", "decision": "accept", "label": "cat", "who": "ann", "when": T1})
    log = tmp_path / "issues" / "decisions.jsonl"
    log.write_text(f'{line}\n{{"example_id": "t1", "dec')
    assert apply(load_config(ApplyConfig, options=options)).card["num_decided"] == 1
    taken_back = to_line({"example_id": "t0", "decision": "", "label": "", "who": "ann", "when": T2})
    of_other_data = to_line({"identity": "x", "example_id": "t9", "decision": "keep", "who": "", "when": T2})
    other = to_line({"example_id": "t1", "decision": "keep", "label": "bee", "who": "ann", "when": T2})
    (tmp_path / "issues" / "decisions.csv").unlink()
    log.write_text("".join(f"{each}\n" for each in (line, taken_back, of_other_data, other)))
    assert apply(load_config(ApplyConfig, options=options)).card["num_kept"] == 1
    log.write_text(line.replace("accept", "exclude") + "\n")
    with pytest.raises(DamagedFile, match="line 1 of"):
        apply(load_config(ApplyConfig, options=options))


def test_the_command_says_what_was_done(tmp_path):
    search(save_csv(tmp_path / "train.csv"), tmp_path / "issues")
    (tmp_path / "mine.csv").write_text(HEADER + "t0,accept,,ann,\n")
    arguments = ["apply", "issues", "--decisions", "mine.csv", "--out", "cleaned"]
    arguments = [str(tmp_path / each) if k in (1, 3, 5) else each for k, each in enumerate(arguments)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "1 of 8 examples decided: 0 kept, 1 relabelled, 0 excluded, 0 unsure" in said
    assert "1 label that looks wrong has no decision and stays as given" in said
    refused = CliRunner().invoke(app, [*arguments[:-1], str(tmp_path / "issues")])
    assert refused.exit_code == 2
    assert "allowed: a folder of its own" in " ".join(refused.output.split())


@pytest.mark.parametrize("content", ["[]", "{}", '{"data": ".."}', '{"data": "../issues"}', '{"data": "."}'])
def test_a_card_that_names_no_data_in_its_folder_is_refused(tmp_path, content):
    (tmp_path / "applied.json").write_text(content)
    with pytest.raises(DamagedFile, match="names a file of another folder"):
        noiseproof.open_dataset(str(tmp_path))


def test_data_without_a_format_to_write_is_refused_with_another_way(applied, tmp_path):
    path = tmp_path / "train.npy"
    np.save(path, np.arange(16.0).reshape(8, 2))
    np.save(tmp_path / "labels.npy", np.array([0, 0, 0, 0, 1, 1, 1, 1]))
    with pytest.raises(BadData, match=r"cannot be written as a cleaned copy.*--decisions"):
        applied(path, "train/0,keep,,ann,\n")


@pytest.mark.parametrize("name", ["csv", "tsv", "jsonl", "parquet", "npz", "folder"])
@pytest.mark.parametrize("opened", ["cleaned", "data"])
def test_cleaned_data_of_people_know_the_labels_before_and_what_was_accepted(applied, tmp_path, name, opened):
    data, ids = made(name, tmp_path)
    rows = f"{ids[0]},accept,,ann,\n{ids[1]},keep,,ann,\n{ids[5]},relabel,bee,bob,\n{ids[6]},exclude,,bob,\n"
    done = applied(data, rows)
    address = str(done.data if opened == "data" else done.data.parent)
    config = load_config(DetectConfig, options={"train": address, "out": tmp_path / "x"})
    dataset = noiseproof.open_dataset(address)
    found = labels_before_cleaning(config, address, dataset)
    before = [dataset.class_names[label] for label in found.labels]
    after = [dataset.class_names[label] for label in dataset.given_labels]
    changed = [pair for pair in zip(before, after, found.words, strict=True) if pair[0] != pair[1]]
    assert sorted(changed) == [("bee", "cat", "accept"), ("cat", "bee", "relabel")]
    assert sorted(found.words) == ["", "", "", "", "accept", "keep", "relabel"]


@pytest.mark.parametrize("name", ["csv", "folder"])
def test_data_cleaned_twice_know_the_labels_before_the_first_time(applied, tmp_path, name):
    data, ids = made(name, tmp_path)
    done = applied(data, f"{ids[0]},accept,,ann,\n{ids[5]},relabel,bee,bob,\n")
    second = tmp_path / "second"
    dataset = noiseproof.open_dataset(str(done.data))
    detect(load_config(DetectConfig, options={
        "train": str(done.data), "out": second, "probs": save_probs(tmp_path, dataset),
    }))  # fmt: skip
    own = next(each for each in dataset.ids.tolist() if each.startswith("cat/0-from") or each == ids[0])
    (tmp_path / "more.csv").write_text(f"{HEADER}{own},keep,,cy,\n")
    again = apply(load_config(ApplyConfig, options={
        "folder": second, "out": tmp_path / "twice", "decisions": tmp_path / "more.csv",
    }))  # fmt: skip
    config = load_config(DetectConfig, options={"train": str(again.data), "out": tmp_path / "x"})
    dataset = noiseproof.open_dataset(str(again.data))
    found = labels_before_cleaning(config, str(again.data), dataset)
    assert (found.labels != dataset.given_labels).sum() == 2
    assert sorted(word for word in found.words if word) == ["keep", "relabel"]


def save_probs(folder, dataset):
    np.save(folder / "again.npy", np.where(np.arange(2) == dataset.given_labels[:, None], 0.9, 0.1))
    return folder / "again.npy"


def test_an_edited_list_of_labels_is_refused(applied, tmp_path):
    done = applied(save_folder(tmp_path / "photos"), OF_FOLDER)
    file = done.data.parent / "labels.csv"
    file.write_text(file.read_text().replace("accept", "keep"))
    config = load_config(DetectConfig, options={"train": str(done.data), "out": tmp_path / "x"})
    with pytest.raises(DamagedFile, match=r"labels\.csv.*Next: apply the decisions again"):
        labels_before_cleaning(config, str(done.data), noiseproof.open_dataset(str(done.data)))


def test_a_run_on_data_that_people_cleaned_does_not_show_accepted_suggestions_as_accuracy(
    applied, tmp_path, configured, blobs
):
    arrays = dict(np.load(blobs))
    truth, n = arrays["labels"], len(arrays["labels"])
    given = np.where(np.arange(n) % 5 == 0, (truth + 1) % 3, truth)
    ids, class_names = [f"r{k}" for k in range(n)], arrays["class_names"]
    features = {"features": arrays["features"], "class_names": class_names}
    np.savez(tmp_path / "train.npz", labels=given, ids=ids, **features)
    probs = np.where(np.arange(3) == truth[:, None], 0.9, 0.05)
    np.save(tmp_path / "probs.npy", probs)
    detect(load_config(DetectConfig, options={
        "train": str(tmp_path / "train.npz"), "out": tmp_path / "issues", "probs": tmp_path / "probs.npy",
    }))  # fmt: skip
    rows = "".join(f"r{k},accept,{class_names[truth[k]]},ann,\n" for k in range(0, n, 5))
    options = {"train": str(tmp_path / "train.npz"), "noise": None, "heads": "linear", "seeds": 1, "ood": []}
    done = applied(tmp_path / "train.npz", rows)
    for changed in (
        {"train": str(done.data.parent)}, {"decisions": [tmp_path / "mine.csv"], "out": tmp_path / "second"},
    ):  # fmt: skip
        result = pipeline.run(configured(**options | {"label": None, "max_steps": 60} | changed))
        own, circular = result.rows
        assert (own.domain, circular.domain) == ("id", "relabelled")
        assert circular.set_name == f"{own.set_name}, as people decided"
        assert circular.metrics["accuracy"] > own.metrics["accuracy"] + 0.1
        assert result.card["data"][1]["labels"] == "before decisions"
        note = next(one for one in result.card["notes"] if one.startswith("People decided "))
        num = note.split()[2]
        assert f"{num} of these decisions accepted the suggestion of this tool" in note
        page = load_run(result.folder)
        assert "before people decided, which may be wrong" in facts(page)[1].detail
        assert "as people decided" not in " ".join(headlines(page))
        assert (
            "As people decided: their labels are the truth here, but they chose which"
            in result.report.read_text()
        )
