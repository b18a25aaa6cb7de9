"""A table as a terminal, Markdown, CSV or LaTeX shows it."""

from __future__ import annotations

import csv
import io

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from noiseproof.core.storage.spreadsheet_cells import escaped
from noiseproof.report.tables import Cell, Table


def to_terminal(table: Table) -> RenderableType:
    """For `rich.print`; names are shown as they are, brackets included.

    On a narrow terminal the spread goes below its mean and names break over lines; a number never does.
    """
    shown = RichTable(
        title=Text(table.title, style="bold"), title_justify="left",
        box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0),
    )  # fmt: skip
    for i, column in enumerate(table.columns):
        is_name = i < table.num_text_columns
        cells = [row[i] for row in table.rows]
        longest = max((len(part) for cell in cells for part in _parts(cell)), default=1)
        shown.add_column(
            Text(column),
            justify="left" if is_name else "right",
            overflow="fold",
            min_width=min(longest, 8) if is_name else longest,
        )
    for row in table.rows:
        shown.add_row(
            *(Text(" ".join(_parts(cell)), style="bold green" if cell.is_best else "") for cell in row)
        )
    # Below the table, not as its caption, which would be no wider than the table.
    return Group(shown, *(Text(note, style="dim") for note in table.notes))


def to_markdown(table: Table) -> str:
    """A GitHub table; the clear best in bold."""
    rules = ["---" if i < table.num_text_columns else "---:" for i in range(len(table.columns))]
    lines = [[_markdown_safe(name) for name in table.columns], rules]
    for row in table.rows:
        texts = [_markdown_safe(_joined(cell)) for cell in row]
        lines.append([f"**{text}**" if cell.is_best else text for cell, text in zip(row, texts, strict=True)])
    notes = "".join(f"\n{note}\n" for note in table.notes)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + notes


def to_csv(table: Table) -> str:
    """Comma-separated, with the texts a person sees; exact numbers are in `results.jsonl`.

    Names that a spreadsheet would run are escaped.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    num_names = table.num_text_columns
    for row in (table.columns, *([_joined(cell) for cell in row] for row in table.rows)):
        writer.writerow([*map(escaped, row[:num_names]), *row[num_names:]])
    return out.getvalue()


def to_latex(table: Table) -> str:
    r"""A `tabular` for the package booktabs; the clear best in bold, notes as comments above it."""
    columns = "l" * table.num_text_columns + "r" * (len(table.columns) - table.num_text_columns)
    lines = [f"% {note}" for note in (table.title, *table.notes)]
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    lines += [" & ".join(_latex_safe(name) for name in table.columns) + r" \\", r"\midrule"]
    for row in table.rows:
        lines.append(" & ".join(_latex_cell(cell) for cell in row) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _latex_cell(cell: Cell) -> str:
    text = _latex_safe(_joined(cell))
    return rf"\textbf{{{text}}}" if cell.is_best else text


def _latex_safe(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {sign: f"\\{sign}" for sign in "&%$#_{}"} | {"±": r"$\pm$", "–": "--", "×": r"$\times$"}
    return "".join(special.get(sign, sign) for sign in " ".join(text.split()))


def _parts(cell: Cell) -> list[str]:
    """The mean, and the spread as one word, so that it does not break."""
    return [cell.text, cell.spread.replace(" ", "")] if cell.spread else [cell.text]


def _joined(cell: Cell) -> str:
    return f"{cell.text} {cell.spread}".rstrip()


def _markdown_safe(text: str) -> str:
    one_line = " ".join(text.split())
    for sign in "\\|*_`<[":
        one_line = one_line.replace(sign, f"\\{sign}")
    return one_line
