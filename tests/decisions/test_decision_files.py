"""Decisions come back from files of other tools, and from our own exports filled in."""

import json
import os

import numpy as np
import pandas as pd
import pytest

from noiseproof.core.errors import BadData, MissingFile
from noiseproof.core.storage.checksums import to_line
from noiseproof.decisions.decision_files import read_decisions, read_kept, time_of_files, write_decisions
from noiseproof.decisions.record import Decision, ReviewedExamples

IDS = ["bee/1.png", "bee/2.png", "cat/1.png", "cat/3.png"]
T1, T2 = "2026-11-30T10:00:00.000000Z", "2026-11-30T11:00:00Z"


@pytest.fixture
def read(tmp_path):
    """A function from a file's name and contents to (id, decision, label, who) of each decision."""

    def run(name, content, **options):
        path = tmp_path / name
        if isinstance(content, pd.DataFrame):
            content.to_csv(path, index=False) if name.endswith("csv") else content.to_parquet(path)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        examples = ReviewedExamples(
            IDS, ["bee", "bee", "cat", "cat"], ["bee", "cat"], suggested=["cat", "bee", "cat", "bee"],
            is_issue=[True, False, False, True], **options,
        )  # fmt: skip
        return [(one.example_id, one.decision, one.label, one.who) for one in read_decisions(path, examples)]

    return run


def issues_table(**changed):
    columns = {
        "example_id": IDS, "given_label": ["bee", "bee", "cat", "cat"],
        "suggested_label": ["cat", "bee", "cat", "bee"], "suspicion": [0.9, 0.1, 0.2, 0.8],
        "is_issue": [True, False, False, True],
    }  # fmt: skip
    return pd.DataFrame(columns | changed)


def test_an_edited_table_says_what_was_changed(read):
    flags = [False, False, True, True]
    edited = issues_table(given_label=["bee", "cat", "cat", "cat"], is_issue=flags)
    assert read("label_issues.csv", edited) == [
        ("bee/1.png", "keep", "bee", ""), ("bee/2.png", "relabel", "cat", ""),
        ("cat/1.png", "accept", "cat", ""),
    ]  # fmt: skip
    added = issues_table(label=["bee", "", "", "bee"], who="ann")
    assert read("label_issues.csv", added) == [
        ("bee/1.png", "keep", "bee", "ann"), ("cat/3.png", "accept", "bee", "ann"),
    ]  # fmt: skip
    with pytest.raises(BadData, match="every label is as it was, and none has been confirmed"):
        read("label_issues.csv", issues_table())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("example_id,decision,label,who,when\n", "has a header and no rows; .* Next: decide about examples"),
        ("id,decision\nbee/1.png,keep\n", r"Next: call the column 'id' `example_id`\.$"),
        ("path,decision\nbee/1.png,keep\n", r"Next: call the column 'path' `example_id`\.$"),
        (
            "Example ID,Decision\nbee/1.png,keep\n",
            "'Example ID' `example_id` and call the column 'Decision'",
        ),
        (
            "example_id\nbee/1.png\n",
            r"Next: add a column `decision` of accept, keep, relabel",
        ),
        ("example_id,label\nbee/1.png,cat\n", r"label; .* Next: add a column `decision` of accept"),
        ("decision\nkeep\n", r"Next: add a column `example_id` with the ids of label_issues\.csv\.$"),
        (
            "bee/1.png,keep\nbee/2.png,keep\n",
            "add a column `example_id` .* and add a column `decision`",
        ),
        ("example_id,decision,decision\nbee/1.png,keep,accept\n", "two columns called 'decision'"),
        ("example_id,decision\n", "has a header and no rows"),
    ],
)
def test_the_next_step_names_the_column_that_a_file_lacks(read, text, message):
    with pytest.raises(BadData, match=message):
        read("mine.csv", text)


def test_blanks_around_an_id_do_not_matter(read):
    assert read("mine.csv", "example_id,decision\n bee/1.png ,keep\n")[0][:2] == ("bee/1.png", "keep")


def test_a_spreadsheet_with_semicolons_and_words_of_its_own(read):
    text = "example_id;decision;note\nbee/1.png;Keep;looks right\nbee/2.png;;\ncat/3.png; ACCEPT ;\n"
    assert [one[:3] for one in read("mine.csv", text)] == [
        ("bee/1.png", "keep", "bee"), ("cat/3.png", "accept", "bee"),
    ]  # fmt: skip


def test_the_table_of_cleanlab_has_numbers_and_the_order_as_its_key(read):
    table = pd.DataFrame(
        {
            "is_label_issue": [False, False, False, True], "label_quality": 0.5,
            "given_label": [0, 0, 1, 1], "predicted_label": [1, 1, 1, 0],
        }
    )  # fmt: skip
    assert [one[:3] for one in read("cleanlab.csv", table)] == [
        ("bee/1.png", "keep", "bee"), ("bee/2.png", "relabel", "cat"),
    ]  # fmt: skip
    with pytest.raises(BadData, match="3 rows for 4 examples"):
        read("cleanlab.csv", table.iloc[:3])
    with pytest.raises(BadData, match="row 1 is given as 'cat', not 'bee'"):
        read("cleanlab.csv", table.iloc[[0, 2, 1, 3]])


def test_studio_corrects_keeps_and_excludes(read):
    table = pd.DataFrame(
        {
            "id": IDS, "label": ["bee", "bee", "cat", "cat"], "is_label_issue": True,
            "corrected_label": ["cat", None, None, None], "action": [None, "exclude", "keep", None],
        }
    )  # fmt: skip
    found = [one[:3] for one in read("studio.csv", table)]
    assert found[:3] == [
        ("bee/1.png", "accept", "cat"),
        ("bee/2.png", "exclude", ""),
        ("cat/1.png", "keep", "cat"),
    ]


def task(example, choices, *, who=1, **annotation):
    result = [{"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": choices}}]
    made = {"id": 1, "completed_by": who, "result": result, "was_cancelled": False, "created_at": T1}
    return {"id": 7, "data": {"example_id": example, "image": "x"}, "annotations": [made | annotation]}


def test_label_studio_json_leaves_out_cancelled_annotations_and_predictions(read):
    tasks = [
        task("bee/1.png", ["bee"], who={"id": 3, "email": "ann@a.org"}),
        task("bee/2.png", ["cat"]),
        task("cat/1.png", ["bee"], was_cancelled=True),
        {"id": 8, "data": {"example_id": "cat/3.png"}, "annotations": [], "predictions": [{"score": 1}]},
    ]
    assert read("export.json", tasks) == [
        ("bee/1.png", "keep", "bee", "ann@a.org"), ("bee/2.png", "relabel", "cat", "1"),
    ]  # fmt: skip
    with pytest.raises(BadData, match=r"task 1 of .* has 2 classes \(bee, cat\); allowed: one class"):
        read("export.json", [task("bee/1.png", ["bee", "cat"])])
    with pytest.raises(BadData, match="no decision"):
        read("export.json", tasks[2:])


def test_label_studio_json_min_and_csv_have_a_row_per_annotation(read):
    row = {
        "image": "/data/local-files/?d=photos/bee/1.png", "id": 2, "annotator": 5, "annotation_id": 9,
        "created_at": T1, "updated_at": T2, "lead_time": 1.5, "label": "cat",
    }  # fmt: skip
    expected = [("bee/1.png", "accept", "cat", "5")]
    assert read("min.json", [row]) == expected
    assert read("min.csv", pd.DataFrame([row])) == expected
    assert read("min.csv", pd.DataFrame([row | {"label": '{"choices": ["cat"]}'}])) == expected
    with pytest.raises(BadData, match="has 2 classes"):
        read("min.csv", pd.DataFrame([row | {"label": '{"choices": ["bee", "cat"]}'}]))
    nameless = {key: value for key, value in row.items() if key != "image"}
    with pytest.raises(BadData, match="does not say which example it is of"):
        read("min.csv", pd.DataFrame([nameless | {"id": 1}]))


def test_fiftyone_labels_are_decisions_where_they_changed(read):
    plain = {"classes": ["bee", "cat"], "labels": {"bee/1": 1, "bee/2": 0, "cat/3": None}}
    assert [one[:3] for one in read("labels.json", plain)] == [("bee/1.png", "accept", "cat")]
    ours = {
        "classes": ["bee", "cat"],
        "labels": {
            "00000001": {"label": 1, "attributes": {"example_id": "bee/2.png"}},
            "00000002": {"label": 1, "attributes": {"example_id": "cat/1.png"}},
        },
    }
    assert [one[:3] for one in read("labels.json", ours)] == [("bee/2.png", "relabel", "cat")]
    named = {"classes": None, "labels": {"00000001": "cat"}}
    assert [one[0] for one in read("labels.json", named)] == ["bee/2.png"]
    with pytest.raises(BadData, match=r"has the label 2 for 'bee/1', and 2 classes"):
        read("labels.json", {"classes": ["bee", "cat"], "labels": {"bee/1": 2}})


def test_fiftyone_samples_and_csv_have_paths_and_tags(read):
    def sample(path, label, tags=()):
        return {
            "filepath": path,
            "tags": list(tags),
            "ground_truth": {"_cls": "Classification", "label": label},
        }

    samples = [
        sample("/a/photos/bee/1.png", "cat"), sample("/a/photos/bee/2.png", "bee", ["keep"]),
        sample("/a/photos/cat/1.png", "cat", ["train", "exclude"]), sample("/a/photos/cat/3.png", "cat"),
    ]  # fmt: skip
    expected = [("bee/1.png", "accept", "cat"), ("bee/2.png", "keep", "bee"), ("cat/1.png", "exclude", "")]
    assert [one[:3] for one in read("samples.json", {"samples": samples})] == expected
    rows = [(each["filepath"], each["ground_truth"]["label"], str(each["tags"])) for each in samples]
    table = pd.DataFrame(rows, columns=["filepath", "ground_truth.label", "tags"])
    assert [one[:3] for one in read("fiftyone.csv", table)] == expected


def test_argilla_has_lists_of_responses_and_only_submitted_ones_count(read):
    records = [
        {
            "id": "bee/1.png", "label.responses": ["bee", "cat"], "label.responses.users": ["u1", "u2"],
            "label.responses.status": ["submitted", "draft"], "label.suggestion": "cat",
        },
        {
            "id": "x", "example_id": "cat/3.png", "label.responses": ["bee"], "label.responses.users": ["u2"],
            "label.responses.status": ["submitted"],
        },
        {"id": "cat/1.png", "label.responses": None, "label.responses.status": None},
    ]  # fmt: skip
    assert read("argilla.json", records) == [
        ("bee/1.png", "keep", "bee", "u1"), ("cat/3.png", "accept", "bee", "u2"),
    ]  # fmt: skip
    two = [{"id": "bee/1.png", "a.responses": ["x"], "b.responses": ["y"]}]
    with pytest.raises(BadData, match="has the questions a, b; allowed: one"):
        read("argilla.json", two)


def test_our_own_json_comes_back_with_labels_filled_in(read):
    issues = issues_table(corrected_label=["bee", None, None, None]).to_dict("records")
    assert [one[:3] for one in read("issues.json", {"summary": {}, "issues": issues})] == [
        ("bee/1.png", "keep", "bee")
    ]


def test_a_parquet_of_decisions_and_numbers_as_a_spreadsheet_writes_them(tmp_path):
    frame = pd.DataFrame({"example_id": ["a"], "decision": ["relabel"], "label": ["3.0"]})
    frame.to_parquet(tmp_path / "d.parquet")
    examples = ReviewedExamples(["a"], ["1"], ["1", "3"], suggested=["1"], is_issue=[False])
    assert read_decisions(tmp_path / "d.parquet", examples)[0].label == "3"


def test_ids_that_were_escaped_for_a_spreadsheet_are_found(tmp_path):
    (tmp_path / "d.csv").write_text("example_id,decision,label,who,when\n'=1+1,relabel,'-x,,\n")
    examples = ReviewedExamples(["=1+1"], ["a"], ["a", "-x"], suggested=["a"], is_issue=[False])
    one = read_decisions(tmp_path / "d.csv", examples)[0]
    assert (one.example_id, one.label) == ("=1+1", "-x")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.json", '[{"id": 1, "data": {"exam', "cannot be read: it is no JSON"),
        ("x.json", {"a": 1}, "no list of objects"),
        (
            "x.json",
            [{"data": {"example_id": "bee/1.png"}, "annotations": [{"id": 1}]}],
            "not what its keys say",
        ),
        ("x.json", [], "has no rows"),
        ("x.csv", "example_id,label\nbee/1.png,cat\n", "Next: add a column `decision`"),
        ("x.xlsx", "", "allowed: a file that ends in .csv"),
        ("x.jsonl", '{"a": 1}\n', "Line 1 of .* is no decision"),
        ("x.csv", "example_id,decision\n../../etc/passwd,keep\n", "which are no examples here"),
    ],
)
def test_other_files_are_refused_by_what_they_are(read, name, content, message):
    with pytest.raises(BadData, match=message):
        read(name, content)


def test_a_file_that_is_missing_is_named(tmp_path):
    examples = ReviewedExamples(["a"], ["1"], ["1"])
    for name in ("none.csv", "."):
        with pytest.raises(MissingFile, match="which is no file"):
            read_decisions(tmp_path / name, examples)


def test_a_folder_of_fiftyone_is_read_by_its_labels(tmp_path):
    (tmp_path / "labels.json").write_text(json.dumps({"classes": None, "labels": {"a": "2"}}))
    examples = ReviewedExamples(["a"], ["1"], ["1", "2"], suggested=["1"], is_issue=[False])
    assert read_decisions(tmp_path, examples)[0].label == "2"


def test_nothing_breaks_on_many_examples():
    ids = [f"c/{k}.png" for k in range(50_000)]
    examples = ReviewedExamples(ids, ["a"] * 50_000, ["a", "b"])
    assert examples.find("/x/y/c/49999.png") == 49_999
    assert examples.find("c/50000.png") is None
    assert np.all([examples.find(each) == k for k, each in enumerate(ids[:10])])


def logged(*rows, identity="mine"):
    """Lines of a log: id, decision, label, time."""
    names = ("example_id", "decision", "label", "when")
    lines = [dict(zip(names, row, strict=True)) | {"who": "ann", "identity": identity} for row in rows]
    return "".join(f"{to_line(line)}\n" for line in lines)


def test_the_later_of_table_and_log_counts_for_each_person_and_what_was_taken_back_does_not(tmp_path):
    examples = ReviewedExamples(IDS, ["bee", "bee", "cat", "cat"], ["bee", "cat"], identity="mine")
    early = [Decision(each, "exclude", "", "ann", T1) for each in IDS[:2]]
    late = Decision(IDS[2], "exclude", "", "ann", "2026-11-30T12:00:00Z")
    of_bob = Decision(IDS[0], "unsure", "", "bob")
    write_decisions(tmp_path / "decisions.csv", [*early, late, of_bob])
    log = tmp_path / "decisions.jsonl"
    log.write_text(logged((IDS[0], "", "", T2), (IDS[1], "keep", "bee", T2), (IDS[2], "keep", "cat", T2)))
    of_log = [Decision(IDS[1], "keep", "bee", "ann", T2), Decision(IDS[2], "keep", "cat", "ann", T2)]
    assert read_kept(tmp_path, examples) == [late, of_bob, *of_log]
    log.write_text(logged((IDS[0], "", "", T2), identity="of other labels"))
    assert read_kept(tmp_path, examples) == [*early, late, of_bob]


def test_a_named_log_of_other_data_is_refused(read):
    with pytest.raises(BadData, match=r"mine\.jsonl' has 1 decision, about other examples or labels only"):
        read("mine.jsonl", logged((IDS[0], "keep", "bee", T1)), identity="another")
    with pytest.raises(BadData, match="has no decision"):
        read("mine.jsonl", logged((IDS[0], "keep", "bee", T1), (IDS[0], "", "", T2)), identity="mine")


def test_rows_without_a_time_are_as_old_as_the_latest_file_or_folder(tmp_path):
    file, folder = tmp_path / "mine.csv", tmp_path / "fiftyone"
    file.touch()
    folder.mkdir()
    os.utime(file, (1000, 1000))
    os.utime(folder, (2000, 2000))
    assert time_of_files([file]).timestamp() == 1000
    assert time_of_files([file, folder]).timestamp() == 2000
