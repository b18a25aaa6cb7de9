"""What has to be said beside means: what they cover, what they are over, and what their intervals tell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from noiseproof.report.tables import INTERVAL_MEANING, NONE, ONE_SEED, RULE_FOR_BOLD, Cell
from noiseproof.study.grid import STEPS, Grid
from noiseproof.study.recipe import Encoder
from noiseproof.study.results import Found

DOMAINS = {"id": "in domain", "ood": "out of domain"}
_MAX_NAMED = 6
_AXES = {
    "share": "shares of the data",
    "noise": "noise in the labels",
    "setting": "settings",
    "head": "heads",
}


def notes_of(found: Found, *shown: str, bold: bool = True) -> tuple[str, ...]:
    """Below every table of means over seeds.

    Args:
        found: of the study.
        shown: axes of the grid that the table shows, see `mean_over`.
        bold: whether it marks the best head.
    """
    has_seeds = len(found.values("seed")) > 1
    notes = [INTERVAL_MEANING, *([RULE_FOR_BOLD] if bold else [])] if has_seeds else [ONE_SEED]
    luck = luck_in_intervals(found) if has_seeds else []
    return (*notes, *luck, *mean_over(found, *shown), *incomplete(found))


def luck_in_intervals(found: Found) -> list[str]:
    """Whether intervals over seeds tell the luck of pre-training, too, for each family."""
    families: dict[str, list[Encoder]] = {}
    for one in found.encoders:
        families.setdefault(one.family, []).append(one)
    once = [family for family, own in families.items() if not all(one.repeats for one in own)]
    if not once:
        return ["Each seed has encoders of its own, so intervals tell the luck of pre-training, too."]
    of = "" if len(once) == len(families) else f" of {_listed(once)}"
    some = "Some encoders" if any(one.repeats for name in once for one in families[name]) else "Encoders"
    return [f"{some}{of} were pre-trained once: intervals tell the luck of what is trained on them, no more."]


def mean_over(found: Found, *shown: str) -> list[str]:
    """The axes of the grid with more than one value that a table or figure does not show.

    Args:
        found: of the study.
        shown: those it does show, or takes one value of.
    """
    hidden = [
        f"{name} ({_listed(_said(axis, value) for value in found.values(axis))})"
        for axis, name in _AXES.items()
        if axis not in shown and len(found.values(axis)) > 1
    ]
    return [f"Mean over {' and over '.join(hidden)}."] if hidden else []


def chosen_noise(found: Found) -> list[str]:
    """For what shows `Found.least_label_noise` only."""
    is_chosen = found.least_label_noise is not None and len(found.values("noise")) > 1
    return ["Only results without noise in the labels of the training set."] if is_chosen else []


def with_notes(caption: str, *notes: Iterable[str]) -> str:
    """A caption and what has to be said beside it."""
    return " ".join((caption, *(note for each in notes for note in each)))


def without_clean(found: Found) -> list[str]:
    """Families whose encoders cannot be compared with a clean one."""
    families = [family for family in found.families if found.noisy(family) and found.clean(family) is None]
    return [f"No results of an encoder without noise in {', '.join(families)}."] if families else []


def rate_cell(noise: float | None) -> Cell:
    """A rate of noise in percent."""
    return Cell(NONE) if noise is None else Cell(f"{100 * noise:g} %", value=noise)


def incomplete(found: Found) -> list[str]:
    """What the means do not cover."""
    there = found.values("task")
    lacking = [name for name in found.recipe.tasks if name not in there]
    notes = [f"Without {', '.join(lacking)}, which could not be computed."] if lacking else []
    short = _short(found, there)
    if short:
        notes.append(
            f"Results lack, so that means cover less than the grid: {_listed(short)}. Differences and bold "
            "compare what both sides have."
        )
    return notes


def _short(found: Found, tasks: list[str]) -> list[str]:
    """Encoders and heads with fewer results than the grid has on these tasks."""
    r, grid = found.recipe, Grid(found.recipe)
    each = len(r.shares) * r.seeds
    each *= sum(len(r.noises_of(task)) * len(grid.evaluations(task)) for task in tasks)
    expected = {head: each * len(r.settings) for head in r.heads}
    expected |= {tuning: each * len(STEPS) for tuning in r.tunings}
    counts = {
        (encoder.title, head): len(found.select(encoder, head=head))
        for encoder in found.encoders
        for head in found.heads
    }
    return [
        f"{title} with {head} ({count} of {expected[head]})"
        for (title, head), count in counts.items()
        if count < expected[head]
    ]


def _said(axis: str, value: Any) -> str:
    return f"{100 * value:g} %" if axis == "share" else str(value).replace(":", " ")


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:_MAX_NAMED]) + (
        f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    )
