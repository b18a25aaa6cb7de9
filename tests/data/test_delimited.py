"""CSV as spreadsheets write it."""

import codecs

import pytest

from noiseproof.core.errors import BadData
from noiseproof.data.formats.delimited import delimiter_of, read_delimited
from noiseproof.data.sources import open_dataset

ROWS = "text,label\ncafé,a\nthé,b\n"


@pytest.mark.parametrize(
    ("name", "header", "delimiter"),
    [
        ("t.csv", "text,label", ","), ("t.csv", "text;label", ";"), ("t.csv", "text\tlabel", "\t"),
        ("t.csv", "text|label", "|"), ("t.csv", "a;b,label", ","), ("t.csv", '"a,b";label', ";"),
        ("t.csv", "label", ","), ("t.tsv", "text\tlabel", "\t"), ("t.tsv", "text,label", ","),
        ("t.csv", "sep=;\ntext,x;label", ";"),
    ],
)  # fmt: skip
def test_the_delimiter_is_that_of_the_header(tmp_path, name, header, delimiter):
    (tmp_path / name).write_text(f"{header}\n1,2;3\n")
    assert delimiter_of(tmp_path / name) == delimiter


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("hint", [False, True])
def test_what_a_spreadsheet_writes_is_read(tmp_path, mark, delimiter, newline, hint):
    text = (f"sep={delimiter}\n" if hint else "") + ROWS.replace(",", delimiter)
    (tmp_path / "t.csv").write_bytes(mark + text.replace("\n", newline).encode())
    dataset = open_dataset(str(tmp_path / "t.csv"))
    assert list(dataset.examples) == ["café", "thé"]
    assert dataset.class_names == ("a", "b")


def test_commas_in_texts_are_no_delimiters_of_a_file_with_semicolons(tmp_path):
    (tmp_path / "t.csv").write_text("text;label\ngood, cheap;a\nbad, dear, slow;b\n")
    assert list(open_dataset(str(tmp_path / "t.csv")).examples) == ["good, cheap", "bad, dear, slow"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_utf_16_with_a_mark_is_read(tmp_path, encoding):
    mark = codecs.BOM_UTF16_LE if encoding == "utf-16-le" else b""
    (tmp_path / "t.csv").write_bytes(mark + ROWS.replace(",", "\t").encode(encoding))
    assert list(open_dataset(str(tmp_path / "t.csv")).examples) == ["café", "thé"]


@pytest.mark.parametrize(("row", "line"), [("text;label\ncafé;a\n", 2), ("téxt;label\na;b\n", 1)])
@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_latin_1_is_explained_with_the_line(tmp_path, row, line, suffix):
    (tmp_path / f"t.{suffix}").write_bytes(row.encode("latin-1"))
    word = "café;a" if line == 2 else "téxt;label"
    with pytest.raises(
        BadData,
        match=rf"not UTF-8 text: line {line} has the byte 0xe9, read as .* it says '{word}'.*iconv -f",
    ):
        open_dataset(str(tmp_path / f"t.{suffix}"))


def test_latin_1_in_json_lines_is_explained_with_the_line(tmp_path):
    (tmp_path / "t.jsonl").write_bytes('{"text": "a"}\n{"text": "é"}\n'.encode("latin-1"))
    with pytest.raises(BadData, match="line 2 has the byte 0xe9"):
        open_dataset(str(tmp_path / "t.jsonl"))


def test_a_line_with_too_many_fields_is_named(tmp_path):
    (tmp_path / "t.csv").write_text("text;label\na;b\na;b;c\n")
    with pytest.raises(BadData, match=r"Expected 2 columns, got 3.* separated by ';'"):
        open_dataset(str(tmp_path / "t.csv"))


def test_a_text_of_several_megabytes_is_read(tmp_path):
    (tmp_path / "t.csv").write_text(f"text,label\n{'long ' * 600_000},a\nshort,b\n")
    assert [len(text) for text in open_dataset(str(tmp_path / "t.csv")).examples] == [3_000_000, 5]


def test_a_line_that_is_too_long_is_explained(tmp_path, monkeypatch):
    monkeypatch.setattr("noiseproof.data.formats.delimited._LONGEST_LINE_BYTES", 1 << 20)
    (tmp_path / "t.csv").write_text(f"text,label\n{'long ' * 600_000},a\nshort,b\n")
    with pytest.raises(BadData, match="cannot be read as a table: a line is longer than 1 MiB"):
        open_dataset(str(tmp_path / "t.csv"))


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_a_file_of_no_bytes_is_to_be_exported_again(tmp_path, suffix):
    path = tmp_path / f"t.{suffix}"
    path.touch()
    with pytest.raises(
        BadData, match=r"it is empty\. Allowed: a header line and rows\. Next: export it again"
    ):
        read_delimited(path, str(path))
