"""Write what a study found: tables in three formats, figures in two, and a page that has them all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from noiseproof.atomic import write_bytes
from noiseproof.report.renderers import to_csv, to_latex, to_markdown
from noiseproof.report.style import png, svg
from noiseproof.report.tables import Table
from noiseproof.study.figures import FIGURES, Drawn
from noiseproof.study.found import Found
from noiseproof.study.tables import TABLES

_FORMATS = {".md": to_markdown, ".csv": to_csv, ".tex": to_latex}


def write_study(folder: Path, found: Found, card: Mapping[str, Any], *, num_cells: int) -> Path:
    """Tables, figures and `study.html` from the results.

    Args:
        folder: of the study.
        found: its results and recipe.
        card: the contents of `study.json`.
        num_cells: of the whole grid.

    Returns:
        The page.
    """
    tables = {name: TABLES[name](found) for name in found.recipe.tables} if len(found.cells) else {}
    drawn = [one for name in found.recipe.figures for one in FIGURES[name](found)] if tables else []
    for name, table in tables.items():
        _write_table(folder / "tables" / name, table)
    for one in drawn:
        write_bytes(folder / "figures" / f"{one.name}.svg", _file(one).encode())
        write_bytes(folder / "figures" / f"{one.name}.png", png(one.figure))
    page = folder / "study.html"
    write_bytes(page, _rendered(found, card, tables, drawn, num_cells).encode())
    return page


def _write_table(path: Path, table: Table) -> None:
    for suffix, render in _FORMATS.items():
        write_bytes(path.with_name(path.name + suffix), render(table).encode())


def _file(drawn: Drawn) -> str:
    """The drawing as a file of its own, which needs to say what it is."""
    text = svg(drawn.figure, drawn.name, drawn.description)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + text


def _rendered(
    found: Found, card: Mapping[str, Any], tables: Mapping[str, Table], drawn: list[Drawn], num_cells: int
) -> str:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("noiseproof.study"), PackageLoader("noiseproof.report")]),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["as_json"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    return environment.get_template("study.html").render(
        recipe=found.recipe,
        found=found,
        card=card,
        tables=tables,
        # Made by us from numbers and escaped by matplotlib, so that it may pass as it is.
        figures=[(one, Markup(svg(one.figure, one.name, one.description))) for one in drawn],
        num_found=len(found.cells),
        num_cells=num_cells,
    )
