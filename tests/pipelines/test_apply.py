"""`noiseproof apply`: decisions of people become a cleaned data set."""

import csv
import os

import numpy as np
import pandas as pd
import pytest
from searched import save_csv, save_folder, save_npz, search
from typer.testing import CliRunner

import noiseproof
from noiseproof.cli.main import app
from noiseproof.config.apply import ApplyConfig
from noiseproof.config.detect import DetectConfig
from noiseproof.config.values import load_config
from noiseproof.core.errors import BadData, DamagedFile, InvalidArgument, MissingFile
from noiseproof.core.files import locked_folder
from noiseproof.pipelines.apply import apply

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
    assert kept.to_csv(index=False) == HEADER + OF_FOLDER
    assert names(noiseproof.open_dataset(str(tmp_path / "cleaned"))) == names(cleaned)  # the folder is data


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
    assert done.card["notes"] == ["New class 'ant': 1 examples."]


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
        ("t9,keep,,ann,\n", r"decides on 't9' \(1 of 1 decisions\), which are no examples here"),
        ("t0,keep,cat,ann,\n", r"Line 2 of '.*' keeps 'cat' for 't0', whose given label is 'bee' here"),
        ("t0,drop,,ann,\n", r"Unknown decision in Line 2 of .*'drop'"),
        ("t0,relabel,,ann,\n", "relabel without a label"),
        ("t0,keep,,ann,yesterday\n", r"`when` in Line 2 .* is 'yesterday'; allowed: ISO 8601"),
        ("t0,keep,,ann,2026-11-30T1", "so the file seems to be cut"),
        (f"t0,keep,,ann,{T1}\nt1,ke", "cannot be read as a table"),
        ("", "has the columns of an empty table"),
        ("t0,keep,,ann,\nt0,accept,,bob,\n", r"People disagree on 1 examples.*'t0' \(ann: bee; bob: cat\)"),
        ("t0,keep,,,\nt0,accept,,,\n", "People disagree on 1 examples"),
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
    with pytest.raises(BadData, match=r"1 of 2 labels that look wrong are undecided or unsure, such as 't4'"):
        applied(data, "t0,keep,,ann,\nt4,unsure,,ann,\n", require_complete=True)
    done = applied(data, "t0,keep,,ann,\nt4,accept,,ann,\n", require_complete=True)
    assert done.card["num_undecided_issues"] == 0


def test_earlier_decisions_are_never_lost(applied, tmp_path):
    data = save_csv(tmp_path / "train.csv")
    applied(data, "t0,keep,,ann,\n")
    with pytest.raises(
        BadData, match=r"has decisions on 1 examples that `decisions` does not have, such as 't0'"
    ):
        applied(data, "t1,keep,,ann,\n")
    both = [tmp_path / "mine.csv", tmp_path / "issues" / "decisions.csv"]
    (tmp_path / "mine.csv").write_text(HEADER + "t1,keep,,ann,\n")
    config = {"folder": tmp_path / "issues", "out": tmp_path / "cleaned", "decisions": both}
    assert apply(load_config(ApplyConfig, options=config)).card["num_decided"] == 2


def test_without_a_file_the_log_of_the_folder_is_taken_and_a_line_cut_by_a_kill_is_not(tmp_path):
    from noiseproof.core.checksums import to_line

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
    assert "1 of 8 examples are decided: 0 kept, 1 relabelled, 0 excluded, 0 unsure" in said
    assert "1 labels that look wrong have no decision and stay as given" in said
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


def test_a_cleaned_table_of_people_is_no_circular_copy(applied, tmp_path):
    from noiseproof.pipelines.cleaned_copies import labels_before_cleaning

    done = applied(save_csv(tmp_path / "train.csv"), "t0,accept,,ann,\n")
    config = load_config(DetectConfig, options={"train": str(done.data), "out": tmp_path / "x"})
    dataset = noiseproof.open_dataset(str(done.data))
    assert labels_before_cleaning(config, str(done.data), dataset) is None
