"""A study from recipe to page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from noiseproof.core.plurals import counted
from noiseproof.core.storage.checksums import write_record
from noiseproof.pipelines.outputs.cards import make_card
from noiseproof.pipelines.outputs.output_folders import only_process_in
from noiseproof.pipelines.outputs.provenance import made_with
from noiseproof.report.headline import duration
from noiseproof.study.compute import StudyOutcome, compute, num_missing, num_results, requests_of
from noiseproof.study.measures.material import Locations
from noiseproof.study.recipe import StudyRecipe
from noiseproof.study.recipe_checks import checked_grid
from noiseproof.study.rows import RESULTS, StudyLog, read_rows, requested_rows
from noiseproof.study.study_page import write_study
from noiseproof.study.study_results import StudyResults, collect_results

CARD = "study.json"


@dataclass(frozen=True)
class StudyRun:
    """A study after one start.

    Attributes:
        folder: of the study.
        page: the page.
        results: all that exist, beside the recipe.
        outcome: of this start.
    """

    folder: Path
    page: Path
    results: StudyResults
    outcome: StudyOutcome


@dataclass(frozen=True)
class StudyPlan:
    """The work that a start would do.

    Attributes:
        num_results: of the whole study: trainings x evaluation sets, and detections.
        num_trainings: of heads and encoders, and runs of detectors.
        num_missing: those without all their results.
        expected_s: how long they will take, from those that are done, else from the recipe.
        is_measured: whether `expected_s` is from trainings; features come on top then.
    """

    num_results: int
    num_trainings: int
    num_missing: int
    expected_s: float
    is_measured: bool

    def __str__(self) -> str:
        size = f"{counted(self.num_results, 'result')} of {counted(self.num_trainings, 'training')}"
        if not self.num_missing:
            return f"The study has {size}. None is missing."
        source = "from those that are done; features come on top" if self.is_measured else "by the recipe"
        missing = counted(self.num_missing, "training is missing and takes", "trainings are missing and take")
        return f"The study has {size}. {missing} about {duration(self.expected_s)}, {source}."


def run_study(
    recipe: StudyRecipe, *, out: Path, cache: Path, data: Path | None = None,
    command: str = "noiseproof.study.run_study(...)",
) -> StudyRun:  # fmt: skip
    """Compute what is missing of a study, then write tables, figures and the page.

    Args:
        recipe: from `load_recipe`.
        out: folder of the study.
        cache: feature store.
        data: folder that `{data}` stands for.
        command: how the user started it, for the card.

    Raises:
        InvalidArgument: see `checked_grid`.
    """
    grid = checked_grid(recipe, data=data)
    requests = requests_of(grid)
    with only_process_in(out, mark=CARD):
        log = StudyLog(out)
        outcome = compute(grid, requests, log, Locations(data, cache, out))
        results = collect_results(requested_rows(log.rows, (one.key for one in requests)), recipe)
        contents = make_card(
            "study",
            config=recipe,
            made_with=made_with(command),
            wall_s={},
            files={},
            notes=(),
            num_cells=num_results(requests),
            num_found=results.num_results,
            failures=outcome.failures,
        )
        write_record(out / CARD, contents)
        page = write_study(out, results, contents)
    return StudyRun(out, page, results, outcome)


def plan_study(recipe: StudyRecipe, *, out: Path) -> StudyPlan:
    """Plan a start from the recipe and existing results; neither data nor weights are read."""
    requests = requests_of(checked_grid(recipe))
    rows = read_rows(out / RESULTS)
    num_all = num_missing(requests, ())
    num_left = num_missing(requests, {row.request_key for row in rows})
    results = collect_results(requested_rows(rows, (one.key for one in requests)), recipe)
    took_s = results.training_s()
    expected_s = num_left * fmean(took_s) if took_s else 60 * recipe.minutes * num_left / num_all
    return StudyPlan(num_results(requests), num_all, num_left, expected_s, bool(took_s))
