"""Texts that a spreadsheet would run: escaped in CSV files for people, and the same again when read."""

import csv

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from noiseproof.cli.main import app
from noiseproof.core.records import LabelIssues
from noiseproof.core.storage.spreadsheet_cells import are_formulas, escaped, unescaped
from noiseproof.data.sources import open_dataset
from noiseproof.export.issue_files import load_issues, write_issues
from noiseproof.report.renderers import to_csv
from noiseproof.report.tables import Cell, Table

RUN_BY_A_SPREADSHEET = [
    "=1+1", '=HYPERLINK("http://x/?"&A1,"a")', "=cmd|' /C calc'!A0", "+1+cmd", "-1+cmd", "-1.jpg", "-a",
    "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", "＋a", "－a", "＠a", "--5", "-1 2",
    "+49 40 1", "=\n", "-1e", "-.", "+٣",
]  # fmt: skip
HARMLESS = [
    "", "a", "a=b", "1", "-1", "+1", "-1.5", "-.5", "-1.", "+1e-5", "-1E5", "=", "-", "cat/1.png", " =1", "'",
    "'a", "a\n=1", '"', "1-1", "2026-11-30", "_=1", "#1",
]  # fmt: skip


@pytest.mark.parametrize("text", RUN_BY_A_SPREADSHEET)
def test_texts_that_would_run_get_an_apostrophe(text):
    assert escaped(text) == f"'{text}"
    assert are_formulas(pa.chunked_array([[text, escaped(text)]])).to_pylist() == [True, False]


@pytest.mark.parametrize("text", HARMLESS)
def test_numbers_and_other_texts_stay(text):
    assert escaped(text) == text
    assert are_formulas(pa.chunked_array([[text]])).to_pylist() == [False]


@pytest.mark.parametrize("text", [*RUN_BY_A_SPREADSHEET, *HARMLESS])
@pytest.mark.parametrize("apostrophes", ["", "'", "''"])
def test_every_text_comes_back(text, apostrophes):
    given_text = apostrophes + text
    assert unescaped(pa.chunked_array([[escaped(given_text)]])).to_pylist() == [given_text]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.text("'=+-@\t\r\n1.e", max_size=6))
def test_any_text_comes_back(text):
    assert unescaped(pa.chunked_array([[escaped(text)]])).to_pylist() == [text]


def issues(ids, names):
    n = len(ids)
    labels = np.arange(n) % len(names)
    return LabelIssues(
        ids=np.array(ids, object), given_labels=labels, suggested_labels=labels[::-1].copy(),
        suspicion=np.linspace(1, 0, n), is_issue=np.arange(n) < 2, method="given",
        joint=np.eye(len(names)), classes=np.arange(len(names)), class_names=tuple(names), notes=(),
    )  # fmt: skip


IDS = [*RUN_BY_A_SPREADSHEET, *(text for text in HARMLESS if text), "a;=1", "'=1"]
NAMES = ("=cat()", "-1", "dog;=1")


def raw_cells(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def test_label_issues_are_escaped_and_every_cell_comes_back(tmp_path):
    write_issues(issues(IDS, NAMES), tmp_path, clean_labels=np.zeros(len(IDS), int))
    header, *rows = raw_cells(tmp_path / "label_issues.csv")
    assert [row[0] for row in rows] == [escaped(text) for text in IDS]
    assert {row[1] for row in rows} == {"'=cat()", "-1", "dog;=1"}
    assert {row[header.index("clean_label")] for row in rows} == {"'=cat()"}
    content = (tmp_path / "label_issues.csv").read_text("utf-8-sig")
    assert '"a;=1"' in content  # one cell also where cells end at semicolons
    dataset = open_dataset(str(tmp_path / "label_issues.csv"), label="given_label", text="example_id")
    assert dataset.ids.tolist() == IDS
    assert set(dataset.class_names) == set(NAMES)
    assert load_issues(tmp_path).ids.tolist() == IDS


def test_numbers_are_never_escaped(tmp_path):
    write_issues(issues([-1, -2, 3], ("-1", "+1")), tmp_path)
    frame = pd.read_csv(tmp_path / "label_issues.csv")
    assert frame["example_id"].tolist() == [-1, -2, 3]
    assert frame["suspicion"].tolist() == [1, 0.5, 0]
    assert frame["is_issue"].tolist() == [True, True, False]
    assert set(frame["given_label"]) == {-1, 1}


def test_raw_cells_are_as_they_are(tmp_path):
    write_issues(issues(IDS, NAMES), tmp_path, raw_cells=True)
    assert [row[0] for row in raw_cells(tmp_path / "label_issues.csv")[1:]] == IDS


def test_names_in_tables_are_escaped():
    table = Table("t", ("=head", "accuracy"), ((Cell("=1+1"), Cell("-0.5", "± 0.1")),), num_text_columns=1)
    assert to_csv(table) == "'=head,accuracy\n'=1+1,-0.5 ± 0.1\n"


def test_a_cleaned_copy_has_the_cells_of_the_data_and_a_note_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    lines = [
        f"{rng.normal() + 9 * (row % 2):.3f},{rng.normal():.3f},-{row}.jpg,{'=a' if row % 2 else 'b'}"
        for row in range(40)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["f0,f1,example_id,label", *lines]))
    for options, cell in (("", "'-0.jpg"), (" --raw-cells", "-0.jpg")):
        done = CliRunner().invoke(app, f"detect t.csv --export cleaned-drop --out issues{options}".split())
        assert done.exit_code == 0, done.output
        said = " ".join(done.output.split())
        assert "cleaned-drop.csv has 80 cells that a spreadsheet would run, such as =1+1, as it is" in said
        assert cell in {row[0] for row in raw_cells(tmp_path / "issues" / "label_issues.csv")}
        assert raw_cells(tmp_path / "issues" / "cleaned-drop.csv")[1][2] == "-0.jpg"
