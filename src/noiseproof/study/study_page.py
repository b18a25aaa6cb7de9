"""Write what a study found: tables in three formats, figures in two, and a page that has them all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from noiseproof.core.files import write_bytes
from noiseproof.report.renderers import to_csv, to_latex, to_markdown
from noiseproof.report.style import png, svg
from noiseproof.report.tables import Table
from noiseproof.study.figures.drawing import Drawn
from noiseproof.study.figures.pretraining import FIGURES
from noiseproof.study.recipe import NOT_RUN
from noiseproof.study.results import Found
from noiseproof.study.tables.accuracy import TABLES
from noiseproof.study.tables.detectors import ARENA_TABLES

_FORMATS = {".md": to_markdown, ".csv": to_csv, ".tex": to_latex}
_OF_DETECTORS = {*ARENA_TABLES, "detectors"}
_XML = '<?xml version="1.0" encoding="utf-8"?>\n'  # a drawing on its own needs to say what it is


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
    tables = {name: TABLES[name](found) for name in found.recipe.tables if _has_rows(found, name)}
    figures = [FIGURES[name] for name in found.recipe.figures if _has_rows(found, name)]
    drawn = [one for draw in figures for one in draw(found)]
    for name, table in tables.items():
        _write_table(folder / "tables" / name, table)
    pictures = [(one, svg(one.figure, one.name, one.description)) for one in drawn]
    for one, picture in pictures:
        write_bytes(folder / "figures" / f"{one.name}.svg", (_XML + picture).encode())
        write_bytes(folder / "figures" / f"{one.name}.png", png(one.figure))
    page = folder / "study.html"
    write_bytes(page, _rendered(found, card, tables, pictures, num_cells).encode())
    return page


def _has_rows(found: Found, name: str) -> bool:
    """Whether there are results of the kind that a table or figure shows."""
    return bool(len(found.detections if name in _OF_DETECTORS else found.cells))


def _write_table(path: Path, table: Table) -> None:
    for suffix, render in _FORMATS.items():
        write_bytes(path.with_name(path.name + suffix), render(table).encode())


def _rendered(
    found: Found,
    card: Mapping[str, Any],
    tables: Mapping[str, Table],
    pictures: list[tuple[Drawn, str]],
    num_cells: int,
) -> str:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("noiseproof.study"), PackageLoader("noiseproof.report")]),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["as_json"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    return environment.get_template("study.html").render(
        recipe=found.recipe,
        not_run=NOT_RUN,
        found=found,
        card=card,
        tables=tables,
        # Made by us from numbers and escaped by matplotlib, so that it may pass as it is.
        figures=[(one, Markup(picture)) for one, picture in pictures],
        num_found=found.num_results,
        num_cells=num_cells,
    )
