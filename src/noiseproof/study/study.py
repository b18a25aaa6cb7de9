"""A study from recipe to page."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import noiseproof
from noiseproof import card
from noiseproof.atomic import write_json
from noiseproof.report.headline import duration
from noiseproof.stages import only_process_in
from noiseproof.study.checks import checked_grid
from noiseproof.study.found import Found, found_in
from noiseproof.study.material import Place
from noiseproof.study.page import write_study
from noiseproof.study.portraits import asked_portraits
from noiseproof.study.recipe import Recipe
from noiseproof.study.rows import RESULTS, StudyLog, read_rows, rows_asked
from noiseproof.study.run import Outcome, compute, num_missing

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
        num_cells: of the grid: trainings x evaluation sets.
        num_trainings: of heads and encoders.
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
        found = found_in(rows_asked(log.rows, (*grid.all_asked(), *asked_portraits(grid))), recipe)
        contents = {
            "noiseproof": noiseproof.__version__,
            "command": command,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "recipe": recipe.to_json(),
            "versions": card.versions(),
            "hardware": card.hardware(),
            "num_cells": grid.num_cells,
            "num_found": len(found.cells),
            "failures": outcome.failures,
        }
        write_json(out / CARD, contents)
        page = write_study(out, found, contents, num_cells=grid.num_cells)
    return StudyResult(out, page, found, outcome)


def plan_study(recipe: Recipe, *, out: Path) -> Plan:
    """What a start would do, from the recipe and the results there are; neither data nor weights are read."""
    grid = checked_grid(recipe)
    rows = read_rows(out / RESULTS)
    asked = {row.asked for row in rows}
    num_all, num_left = num_missing(grid, ()), num_missing(grid, asked)
    cells = found_in(rows_asked(rows, grid.all_asked()), recipe).cells
    if len(cells):
        trained = cells.drop_duplicates(["encoder", "task", "share", "noise", "head", "setting", "seed"])
        return Plan(grid.num_cells, num_all, num_left, num_left * float(trained["fit_s"].mean()), True)
    return Plan(grid.num_cells, num_all, num_left, 60 * recipe.minutes * num_left / num_all, False)
