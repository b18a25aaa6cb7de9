"""Write the results of a study: tables in three formats, figures in two, and a page with all of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from noiseproof.core.storage.files import write_bytes
from noiseproof.core.storage.inner_paths import inner_path
from noiseproof.report.page_policy import page_parts, page_template
from noiseproof.report.renderers import to_csv, to_latex, to_markdown
from noiseproof.report.style import png, svg
from noiseproof.report.tables import Table
from noiseproof.study.figures.drawing import Drawn
from noiseproof.study.figures.study_figures import FIGURES
from noiseproof.study.recipe import NOT_RUN
from noiseproof.study.study_results import StudyResults
from noiseproof.study.tables.detector_tables import ARENA_TABLES
from noiseproof.study.tables.study_tables import TABLES

_FORMATS = {".md": to_markdown, ".csv": to_csv, ".tex": to_latex}
_OF_DETECTORS = {*ARENA_TABLES, "detectors"}
_XML = '<?xml version="1.0" encoding="utf-8"?>\n'  # a drawing on its own needs to say what it is


def write_study(folder: Path, results: StudyResults, card: Mapping[str, Any]) -> Path:
    """Write tables, figures and the page of a study into its folder; `card` is what `study.json` holds."""
    tables = {name: TABLES[name](results) for name in results.recipe.tables if _has_rows(results, name)}
    figures = [FIGURES[name] for name in results.recipe.figures if _has_rows(results, name)]
    drawn = [one for draw in figures for one in draw(results)]
    for name, table in tables.items():
        _write_table(inner_path(folder, f"tables/{name}"), table)
    pictures = [(one, svg(one.figure, one.name, one.description)) for one in drawn]
    for one, picture in pictures:
        write_bytes(inner_path(folder, f"figures/{one.name}.svg"), (_XML + picture).encode())
        write_bytes(inner_path(folder, f"figures/{one.name}.png"), png(one.figure))
    page = folder / "study.html"
    write_bytes(page, _rendered(results, card, tables, pictures).encode())
    return page


def _has_rows(results: StudyResults, name: str) -> bool:
    """Whether there are results of the kind that a table or figure shows."""
    return bool(len(results.detections if name in _OF_DETECTORS else results.head_rows))


def _write_table(path: Path, table: Table) -> None:
    for suffix, render in _FORMATS.items():
        write_bytes(path.with_name(path.name + suffix), render(table).encode())


def _rendered(
    results: StudyResults,
    card: Mapping[str, Any],
    tables: Mapping[str, Table],
    pictures: list[tuple[Drawn, str]],
) -> str:
    return page_template("study.html", "noiseproof.study").render(
        **page_parts(has_script=False),
        recipe=results.recipe,
        not_run=NOT_RUN,
        results=results,
        card=card,
        tables=tables,
        # Made by us from numbers and escaped by matplotlib, so that it may pass as it is.
        figures=[(one, Markup(picture)) for one, picture in pictures],
    )
