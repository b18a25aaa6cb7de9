"""Tables of differences, each on what both sides have: encoders, heads and settings against each other."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations, product
from statistics import fmean

import pandas as pd

from noiseproof.evaluate.protocol import interval
from noiseproof.report.tables import NONE, Cell, Table, name_cell, percent_cell
from noiseproof.study.results import Found, over_seeds, paired, per_seed
from noiseproof.study.tables.notes import DOMAINS, chosen_noise, notes_of, rate_cell, without_clean

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


def heads_by_noise_table(found: Found) -> Table:
    """Differences from the first head in domain: a column per noise, and their mean."""
    first, *others = found.heads or [""]
    body = []
    for encoder, setting, head in product(found.encoders, found.values("setting"), others):
        both = found.select(encoder, domain="id", setting=setting)
        difference = paired(both[both["head"] == head], both[both["head"] == first], "score", but="head")
        parts = [difference[difference["noise"] == noise] for noise in found.values("noise")]
        cells = [difference_cell(per_seed(part, "score").values()) for part in (*parts, difference)]
        body.append((name_cell(encoder.title), name_cell(setting), name_cell(head), *cells))
    notes = (
        f"Points of accuracy more than {first} in the same setting, paired by seed.",
        *notes_of(found, "head", "noise", "setting", bold=False),
    )
    noises = [noise.replace(":", " ") for noise in found.values("noise")]
    columns = ("encoder", "setting", "head", *noises, "mean")
    title = f"Heads against {first} by noise in the labels, in points"
    return Table(title, columns, tuple(body), notes, num_text_columns=3)


def encoders_by_noise_table(found: Found) -> Table:
    """Each pair of encoders in domain: the difference under every noise, and by how much noise widens it."""
    noises = found.values("noise")
    body = []
    for head, setting in product(found.heads, found.values("setting")):
        for first, second in combinations(found.encoders, 2):
            own, other = (
                found.select(one, domain="id", head=head, setting=setting) for one in (second, first)
            )
            difference = paired(own, other, "score", but="encoder")
            by_noise = [per_seed(difference[difference["noise"] == noise], "score") for noise in noises]
            cells = [difference_cell(by_seed.values()) for by_seed in by_noise]
            cells += [difference_cell(_minus(by_seed, by_noise[0])) for by_seed in by_noise[1:]]
            pair = name_cell(f"{second.title} against {first.title}")
            body.append((pair, name_cell(head), name_cell(setting), *cells))
    names = [noise.replace(":", " ") for noise in noises]
    wider = [f"{name}, wider" for name in names[1:]]
    notes = (
        "Points of accuracy, paired by seed.",
        f"Wider: that difference less the one with {names[0] if names else 'none'}.",
        *notes_of(found, "head", "noise", "setting", bold=False),
    )
    columns = ("encoders", "head", "setting", *names, *wider)
    title = "Encoders against each other by noise in the labels, in points"
    return Table(title, columns, tuple(body), notes, num_text_columns=3)


def _minus(by_seed: dict[int, float], other: dict[int, float]) -> list[float]:
    return [value - other[seed] for seed, value in by_seed.items() if seed in other]
