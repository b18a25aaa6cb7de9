"""What has to be said beside means: what they cover, what they are over, and what their intervals tell."""

from __future__ import annotations

from noiseproof.report.tables import INTERVAL_MEANING, NONE, ONE_SEED, RULE_FOR_BOLD, Cell
from noiseproof.study.found import Found
from noiseproof.study.grid import Grid

DOMAINS = {"id": "in domain", "ood": "out of domain"}
_MAX_NAMED = 6


def notes_of(found: Found, *, bold: bool = True) -> tuple[str, ...]:
    """Below every table of means over seeds."""
    has_seeds = len(found.values("seed")) > 1
    notes = [INTERVAL_MEANING, *([RULE_FOR_BOLD] if bold else [])] if has_seeds else [ONE_SEED]
    return (*notes, *incomplete(found))


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
        named = ", ".join(short[:_MAX_NAMED]) + (", ..." if len(short) > _MAX_NAMED else "")
        notes.append(
            f"Results lack, so that means cover less than the grid: {named}. Differences and bold compare "
            "what both sides have."
        )
    return notes


def _short(found: Found, tasks: list[str]) -> list[str]:
    """Encoders and heads with fewer results than the grid has on these tasks."""
    r, grid = found.recipe, Grid(found.recipe)
    each = len(r.shares) * len(r.label_noise) * len(r.settings) * r.seeds
    expected = each * sum(len(grid.evaluations(task)) for task in tasks)
    counts = {
        (encoder.title, head): len(found.select(encoder, head=head))
        for encoder in found.encoders
        for head in found.heads
    }
    return [
        f"{title} with {head} ({count} of {expected})"
        for (title, head), count in counts.items()
        if count < expected
    ]
