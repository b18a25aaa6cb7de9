"""Notes beside means: what they cover, what they are over, and what their intervals show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from noiseproof.core.plurals import some
from noiseproof.report.tables import INTERVAL_MEANING, ONE_SEED, RULE_FOR_BOLD
from noiseproof.study.grid import STEPS, Grid
from noiseproof.study.study_results import StudyResults

DOMAINS = {"id": "in domain", "ood": "out of domain"}
_MAX_NAMED = 6
_AXES = {
    "share": "shares of the data",
    "noise": "noise in the labels",
    "setting": "settings",
    "head": "heads",
}


def notes_of(results: StudyResults, *shown: str, bold: bool = True) -> tuple[str, ...]:
    """Notes below every table of means over seeds; `shown` as in `mean_over`, `bold` marks the best head."""
    has_seeds = len(results.values("seed")) > 1
    notes = [INTERVAL_MEANING, *([RULE_FOR_BOLD] if bold else [])] if has_seeds else [ONE_SEED]
    luck = luck_in_intervals(results) if has_seeds else []
    return (*notes, *luck, *mean_over(results, *shown), *incomplete(results))


def luck_in_intervals(results: StudyResults) -> list[str]:
    """A note whether intervals over seeds include the luck of pre-training."""
    once = list(dict.fromkeys(one.family for one in results.encoders if not one.repeats))
    if not once:
        return ["Each seed has encoders of its own, so intervals tell the luck of pre-training, too."]
    of = "" if len(once) == len(results.families) else f" of {some(once, _MAX_NAMED)}"
    who = (
        "Some encoders" if any(one.repeats and one.family in once for one in results.encoders) else "Encoders"
    )
    return [f"{who}{of} were pre-trained once: intervals tell the luck of what is trained on them, no more."]


def mean_over(results: StudyResults, *shown: str) -> list[str]:
    """Axes with several values that a table averages over; of those in `shown` it has all values or one."""
    hidden = [
        f"{name} ({some((_axis_value(axis, value) for value in results.values(axis)), _MAX_NAMED)})"
        for axis, name in _AXES.items()
        if axis not in shown and len(results.values(axis)) > 1
    ]
    return [f"Mean over {' and over '.join(hidden)}."] if hidden else []


def chosen_noise(results: StudyResults) -> list[str]:
    """A note beside results of `StudyResults.least_label_noise` only."""
    is_chosen = results.least_label_noise is not None and len(results.values("noise")) > 1
    return ["Only results without noise in the labels of the training set."] if is_chosen else []


def with_notes(caption: str, *notes: Iterable[str]) -> str:
    """A caption with its notes."""
    return " ".join((caption, *(note for each in notes for note in each)))


def without_clean(results: StudyResults) -> list[str]:
    """A note on families whose encoders cannot be compared with a clean one."""
    families = [
        family for family in results.families if results.noisy(family) and results.clean_key(family) is None
    ]
    return [f"No results of an encoder without noise in {', '.join(families)}."] if families else []


def noise_titles(results: StudyResults) -> list[str]:
    """Noise in the labels as columns are called."""
    return [noise.replace(":", " ") for noise in results.values("noise")]


def incomplete(results: StudyResults) -> list[str]:
    """Notes on tasks and results that the means do not cover."""
    existing = results.values("task")
    absent = [name for name in results.recipe.tasks if name not in existing]
    notes = [f"Without {', '.join(absent)}, which could not be computed."] if absent else []
    short = _short(results, existing)
    if short:
        notes.append(
            f"Results are missing, so that means cover less than the grid: {some(short, _MAX_NAMED)}. "
            "Differences and bold compare what both sides have."
        )
    return notes


def _short(results: StudyResults, tasks: list[str]) -> list[str]:
    """Encoders and heads with fewer results than the grid has on these tasks."""
    r, grid = results.recipe, Grid(results.recipe)
    each = len(r.shares) * r.seeds
    each *= sum(len(r.noises_of(task)) * len(grid.evaluations(task)) for task in tasks)
    expected = {head: each * len(r.settings) for head in r.heads}
    expected |= {tuning: each * len(STEPS) for tuning in r.tunings}
    counts = {
        (encoder.title, head): len(results.select(encoder, head=head))
        for encoder in results.encoders
        for head in results.heads
    }
    return [
        f"{title} with {head} ({count} of {expected[head]})"
        for (title, head), count in counts.items()
        if count < expected[head]
    ]


def _axis_value(axis: str, value: Any) -> str:
    return f"{100 * value:g} %" if axis == "share" else str(value).replace(":", " ")
