import csv
import io

from rich.console import Console

from noiseproof.report.renderers import to_csv, to_markdown, to_terminal
from noiseproof.report.tables import Cell, Table

TABLE = Table(
    "Accuracy in %",
    ("head", "a|b"),
    (
        (Cell("[red]linear"), Cell("47.6", "± 0.3", 0.476)),
        (Cell("nm_tune\n"), Cell("49.3", "± 0.1", 0.493, is_best=True)),
    ),
    notes=("How to read it.",),
)


def shown(table, width=80):
    console = Console(file=io.StringIO(), width=width)
    console.print(to_terminal(table))
    return console.file.getvalue()


def test_the_terminal_shows_names_as_they_are():
    text = shown(TABLE)
    assert "[red]linear" in text
    assert "49.3 ±0.1" in text
    assert "How to read it." in text


def test_numbers_stay_whole_on_a_narrow_terminal():
    words = shown(TABLE, width=18).split()
    assert {"47.6", "±0.3", "49.3", "±0.1"} <= set(words)


def test_markdown_escapes_names_and_marks_the_best():
    assert to_markdown(TABLE).splitlines() == [
        r"| head | a\|b |",
        "| --- | ---: |",
        r"| \[red]linear | 47.6 ± 0.3 |",
        r"| nm\_tune | **49.3 ± 0.1** |",
        "",
        "How to read it.",
    ]


def test_csv_goes_through_a_reader_unchanged():
    table = Table("t", ("name", "x"), ((Cell('a,"b"\nc'), Cell("1.0", "± 0.1")),))
    assert list(csv.reader(io.StringIO(to_csv(table)))) == [["name", "x"], ['a,"b"\nc', "1.0 ± 0.1"]]


def test_a_table_without_rows_renders_everywhere():
    empty = Table("nothing", ("a", "b"), ())
    assert "nothing" in shown(empty)
    assert to_markdown(empty) == "| a | b |\n| --- | ---: |\n"
    assert to_csv(empty) == "a,b\n"
