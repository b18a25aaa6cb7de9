"""A table as a terminal, Markdown or CSV shows it."""

from __future__ import annotations

import csv
import io

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from noiseproof.report.tables import Cell, Table


def to_terminal(table: Table) -> RichTable:
    """For `rich.print`; names are shown as they are, brackets included."""
    shown = RichTable(
        title=Text(table.title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False,
        caption=Text("\n".join(table.notes), style="dim") if table.notes else None, caption_justify="left",
    )  # fmt: skip
    for i, column in enumerate(table.columns):
        is_name = i < table.num_text_columns
        shown.add_column(
            Text(column), justify="left" if is_name else "right", overflow="fold", no_wrap=not is_name
        )
    for row in table.rows:
        shown.add_row(*(Text(_joined(cell), style="bold green" if cell.is_best else "") for cell in row))
    return shown


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
    """Comma-separated, with the texts a person sees; exact numbers are in `results.jsonl`."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([_joined(cell) for cell in row] for row in table.rows)
    return out.getvalue()


def _joined(cell: Cell) -> str:
    return f"{cell.text} {cell.spread}".rstrip()


def _markdown_safe(text: str) -> str:
    one_line = " ".join(text.split())
    for sign in "\\|*_`<[":
        one_line = one_line.replace(sign, f"\\{sign}")
    return one_line
