"""Tables of differences, each on what both sides have: encoders, heads and settings against each other."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations
from statistics import fmean

import pandas as pd

from noiseproof.evaluate.protocol import interval
from noiseproof.report.tables import NONE, Cell, Table, name_cell, percent_cell
from noiseproof.study.found import Found, over_seeds, paired, per_seed
from noiseproof.study.notes import DOMAINS, chosen_noise, notes_of, rate_cell, without_clean

_POINTS = "Differences are in points and paired by seed; positive: better than the encoder without noise."


def influence_table(found: Found) -> Table:
    """Each encoder against the one of its family without noise, for every head: the claim of Figure 2."""
    body, noise = [], found.least_label_noise
    for family in found.families:
        clean = found.clean(family)
        for encoder in found.noisy(family):
            for head in found.heads:
                cells = []
                for domain in found.domains:
                    own = found.select(encoder, domain=domain, head=head, noise=noise)
                    other = own.head(0)
                    if clean is not None:
                        other = found.select(clean, domain=domain, head=head, noise=noise)
                    cells.append(percent_cell(over_seeds(own, "score")))
                    differences = per_seed(paired(own, other, "score", but="encoder"), "score")
                    cells.append(difference_cell(differences.values()))
                body.append((name_cell(family), rate_cell(encoder.noise), name_cell(head), *cells))
    names = [name for domain in found.domains for name in (DOMAINS[domain], "against clean")]
    notes = (
        *notes_of(found, "head", *(["noise"] if noise else []), bold=False),
        *chosen_noise(found),
        _POINTS,
    )
    notes = (*notes, *without_clean(found))
    columns = ("family", "noise", "head", *names)
    return Table("Accuracy in % by noise in pre-training", columns, tuple(body), notes, num_text_columns=3)


def heads_table(found: Found) -> Table:
    """Each pair of heads, on every set and on their mean."""
    pairs = [(second, first) for first, second in combinations(found.heads, 2)]
    return _compared(found, "head", pairs, "heads")


def settings_compared_table(found: Found) -> Table:
    """Each setting against the first, on every set and on their mean."""
    first, *others = found.values("setting")
    return _compared(found, "setting", [(other, first) for other in others], "settings")


def _compared(found: Found, axis: str, pairs: Sequence[tuple[str, str]], what: str) -> Table:
    body = []
    for first, second in pairs:
        for task in (*found.values("task"), None):
            cells: list[Cell] = []
            for domain in found.domains:
                both = found.select(domain=domain, task=task)
                own, other = (both[both[axis] == name] for name in (first, second))
                cells += _over_seeds_and_encoders(paired(own, other, "score", but=axis))
            body.append((name_cell(f"{first} against {second}"), name_cell(task or "mean"), *cells))
    names = [name for domain in found.domains for name in (DOMAINS[domain], f"{DOMAINS[domain]}, by encoder")]
    notes = (
        "Differences in points, paired by encoder and seed; mean over the encoders that have both. The "
        "interval is over seeds, of means over encoders.",
        "By encoder: the same with an interval over encoders, of means over seeds; it tells whether another "
        "encoder of the kind would show the difference, too.",
        *notes_of(found, axis, bold=False),
    )
    title, columns = f"Differences of {what} in points", (what, "set", *names)
    return Table(title, columns, tuple(body), notes, num_text_columns=2)


def _over_seeds_and_encoders(differences: pd.DataFrame) -> tuple[Cell, Cell]:
    """The mean with its interval over seeds, and with that over encoders."""
    by_encoder = [per_seed(own, "score") for _, own in differences.groupby("encoder", sort=False)]
    by_encoder = [by_seed for by_seed in by_encoder if by_seed]
    if not by_encoder:
        return Cell(NONE), Cell(NONE)
    seeds = set.intersection(*(set(by_seed) for by_seed in by_encoder))
    over_seeds = [fmean(by_seed[seed] for by_seed in by_encoder) for seed in sorted(seeds)]
    over_encoders = [fmean(by_seed.values()) for by_seed in by_encoder]
    return difference_cell(over_seeds, digits=2), difference_cell(over_encoders, digits=2)


def difference_cell(differences: Collection[float], *, digits: int = 1) -> Cell:
    """A mean difference in points, with its 95 % interval over what is given."""
    if not differences:
        return Cell(NONE)
    found = interval(differences)
    spread = "" if found.half_width is None else f"± {100 * found.half_width:.{digits}f}"
    points = round(100 * found.mean, digits) + 0.0  # a zero without a minus
    return Cell(f"{points:+.{digits}f}", spread, found.mean)
