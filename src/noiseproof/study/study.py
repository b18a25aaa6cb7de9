"""A study from recipe to page."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from noiseproof.core.files import write_json
from noiseproof.core.version import __version__
from noiseproof.pipelines import provenance
from noiseproof.pipelines.folders import only_process_in
from noiseproof.report.headline import duration
from noiseproof.study.compute import Outcome, compute, num_missing
from noiseproof.study.grid import Grid
from noiseproof.study.measures.detectors import asked_detections
from noiseproof.study.measures.material import Place
from noiseproof.study.measures.portraits import asked_portraits
from noiseproof.study.recipe import Recipe
from noiseproof.study.recipe_checks import checked_grid
from noiseproof.study.results import Found, found_in
from noiseproof.study.rows import RESULTS, StudyLog, read_rows, rows_asked
from noiseproof.study.study_page import write_study

CARD = "study.json"


@dataclass(frozen=True)
class StudyResult:
    """What a study left behind.

    Attributes:
        folder: of the study.
        page: the page.
        found: results beside the recipe.
        outcome: what this start computed, and what it could not.
    """

    folder: Path
    page: Path
    found: Found
    outcome: Outcome


@dataclass(frozen=True)
class Plan:
    """What a start would do.

    Attributes:
        num_cells: of the grid: trainings x evaluation sets, and detections.
        num_trainings: of heads and encoders, and runs of detectors.
        num_missing: those that lack a result.
        expected_s: how long they will take, from those that are done, else from the recipe.
        is_measured: whether `expected_s` is from trainings; features come on top then.
    """

    num_cells: int
    num_trainings: int
    num_missing: int
    expected_s: float
    is_measured: bool

    def said(self) -> str:
        """For a person."""
        source = "from those that are done; features come on top" if self.is_measured else "by the recipe"
        time = f"about {duration(self.expected_s)}, {source}" if self.num_missing else "nothing to do"
        return (
            f"{self.num_cells} cells ({self.num_trainings} trainings on their evaluation sets); "
            f"{self.num_missing} trainings are missing: {time}"
        )


def run_study(
    recipe: Recipe, *, out: Path, cache: Path, data: Path | None = None,
    command: str = "noiseproof.study.run_study(...)", say: Callable[[str], None] = lambda line: None,
) -> StudyResult:  # fmt: skip
    """Compute what is missing of a study, then write tables, figures and the page.

    Args:
        recipe: from `load_recipe`.
        out: folder of the study.
        cache: feature store.
        data: folder that `{data}` stands for.
        command: how the user started it, for the card.
        say: receives a line where there is something to tell.

    Raises:
        InvalidArgument: see `checked_grid`.
    """
    grid = checked_grid(recipe, data=data)
    with only_process_in(out, mark=CARD):
        log = StudyLog(out)
        outcome = compute(grid, log, Place(data, cache), say=say)
        asked = (*grid.all_asked(), *asked_portraits(grid), *asked_detections(grid))
        found = found_in(rows_asked(log.rows, asked), recipe)
        contents = {
            "noiseproof": __version__,
            "command": command,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "recipe": recipe.to_json(),
            "versions": provenance.versions(),
            "hardware": provenance.hardware(),
            "num_cells": num_results(grid),
            "num_found": found.num_results,
            "failures": outcome.failures,
        }
        write_json(out / CARD, contents)
        page = write_study(out, found, contents, num_cells=num_results(grid))
    return StudyResult(out, page, found, outcome)


def plan_study(recipe: Recipe, *, out: Path) -> Plan:
    """What a start would do, from the recipe and the results there are; neither data nor weights are read."""
    grid = checked_grid(recipe)
    rows = read_rows(out / RESULTS)
    asked = {row.asked for row in rows}
    num_all, num_left = num_missing(grid, ()), num_missing(grid, asked)
    found = found_in(rows_asked(rows, (*grid.all_asked(), *asked_detections(grid))), recipe)
    num_cells, took_s = num_results(grid), seconds_each(found)
    if took_s:
        return Plan(num_cells, num_all, num_left, num_left * fmean(took_s), True)
    return Plan(num_cells, num_all, num_left, 60 * recipe.minutes * num_left / num_all, False)


def num_results(grid: Grid) -> int:
    """Of a whole study: heads and encoders x evaluation sets, and detections."""
    return grid.num_cells + sum(1 for _ in asked_detections(grid))


def seconds_each(found: Found) -> list[float]:
    """Of every training and every detector that is done."""
    seconds: list[float] = []
    if len(found.cells):
        place = ["encoder", "task", "share", "noise", "head", "setting", "seed"]
        seconds += found.cells.drop_duplicates(place)["fit_s"].tolist()
    return seconds + (found.detections["wall_s"].tolist() if len(found.detections) else [])
