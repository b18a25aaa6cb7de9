"""Tables of differences on the places that both sides have: encoders, heads and settings in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product
from statistics import fmean

import pandas as pd

from noiseproof.report.tables import NONE, Cell, Table
from noiseproof.study.study_results import StudyResults, paired, per_seed
from noiseproof.study.tables.cells import difference_cell, rate_cell, score_cell, study_table
from noiseproof.study.tables.notes import DOMAINS, chosen_noise, noise_titles, notes_of, without_clean

_POINTS = "Differences are in points and paired by seed; positive: better than the encoder without noise."


def influence_table(results: StudyResults) -> Table:
    """Each encoder against the one of its family without noise, for every head: the claim of Figure 2."""
    body, noise = [], results.least_label_noise
    for family in results.families:
        for encoder, head in product(results.noisy(family), results.heads):
            cells = []
            for domain in results.domains:
                own = results.select(encoder, domain=domain, head=head, noise=noise)
                other = results.select_clean(family, domain=domain, head=head, noise=noise)
                differences = per_seed(paired(own, other, "score", but="encoder"), "score")
                cells += [score_cell(own), difference_cell(differences.values())]
            body.append((family, rate_cell(encoder.noise), head, *cells))
    columns = [name for domain in results.domains for name in (DOMAINS[domain], "against clean")]
    notes = (
        *notes_of(results, "head", *(["noise"] if noise else []), bold=False),
        *chosen_noise(results),
        _POINTS,
        *without_clean(results),
    )
    title = "Accuracy in % by noise in pre-training"
    return study_table(title, ("family", "noise", "head", *columns), body, notes, num_text_columns=3)


def heads_table(results: StudyResults) -> Table:
    """Each pair of heads, on every set and on their mean."""
    pairs = [(second, first) for first, second in combinations(results.heads, 2)]
    return _compared(results, "head", pairs)


def settings_compared_table(results: StudyResults) -> Table:
    """Each setting against the first, on every set and on their mean."""
    first, *others = results.values("setting")
    return _compared(results, "setting", [(other, first) for other in others])


def _compared(results: StudyResults, axis: str, pairs: Sequence[tuple[str, str]]) -> Table:
    body = []
    for (first, second), task in product(pairs, (*results.values("task"), None)):
        cells: list[Cell] = []
        for domain in results.domains:
            both = results.select(domain=domain, task=task)
            own, other = (both[both[axis] == name] for name in (first, second))
            cells += _over_seeds_and_encoders(paired(own, other, "score", but=axis))
        body.append((f"{first} against {second}", task or "mean", *cells))
    names = [f"{DOMAINS[domain]}{suffix}" for domain in results.domains for suffix in ("", ", by encoder")]
    notes = (
        "Differences in points, paired by encoder and seed; mean over the encoders that have both. The "
        "interval is over seeds, of means over encoders.",
        "By encoder: the same with an interval over encoders, of means over seeds; it tells whether another "
        "encoder of the kind would show the difference, too.",
        *notes_of(results, axis, bold=False),
    )
    title, columns = f"Differences of {axis}s in points", (f"{axis}s", "set", *names)
    return study_table(title, columns, body, notes, num_text_columns=2)


def _over_seeds_and_encoders(differences: pd.DataFrame) -> tuple[Cell, Cell]:
    """The mean with its interval over seeds, and with the one over encoders."""
    by_encoder = [per_seed(own, "score") for _, own in differences.groupby("encoder", sort=False)]
    by_encoder = [by_seed for by_seed in by_encoder if by_seed]
    if not by_encoder:
        return Cell(NONE), Cell(NONE)
    seeds = set.intersection(*(set(by_seed) for by_seed in by_encoder))
    over_seeds = [fmean(by_seed[seed] for by_seed in by_encoder) for seed in sorted(seeds)]
    over_encoders = [fmean(by_seed.values()) for by_seed in by_encoder]
    return difference_cell(over_seeds, digits=2), difference_cell(over_encoders, digits=2)


def heads_by_noise_table(results: StudyResults) -> Table:
    """Differences from the first head in domain: a column per noise, and their mean."""
    first, *others = results.heads or [""]
    body = []
    for encoder, setting, head in product(results.encoders, results.values("setting"), others):
        both = results.select(encoder, domain="id", setting=setting)
        difference = paired(both[both["head"] == head], both[both["head"] == first], "score", but="head")
        parts = [difference[difference["noise"] == noise] for noise in results.values("noise")]
        cells = [difference_cell(per_seed(part, "score").values()) for part in (*parts, difference)]
        body.append((encoder.title, setting, head, *cells))
    notes = (
        f"Points of accuracy more than {first} in the same setting, paired by seed.",
        *notes_of(results, "head", "noise", "setting", bold=False),
    )
    columns = ("encoder", "setting", "head", *noise_titles(results), "mean")
    title = f"Heads against {first} by noise in the labels, in points"
    return study_table(title, columns, body, notes, num_text_columns=3)


def encoders_by_noise_table(results: StudyResults) -> Table:
    """Each pair of encoders in domain: the difference under every noise, and by how much noise widens it."""
    body = []
    pairs = list(combinations(results.encoders, 2))
    for head, setting, pair in product(results.heads, results.values("setting"), pairs):
        first, second = (results.select(one, domain="id", head=head, setting=setting) for one in pair)
        difference = paired(second, first, "score", but="encoder")
        by_noise = [
            per_seed(difference[difference["noise"] == one], "score") for one in results.values("noise")
        ]
        wider = [
            [value - by_noise[0][seed] for seed, value in by_seed.items() if seed in by_noise[0]]
            for by_seed in by_noise[1:]
        ]
        cells = [difference_cell(values) for values in (*(one.values() for one in by_noise), *wider)]
        body.append((f"{pair[1].title} against {pair[0].title}", head, setting, *cells))
    names = noise_titles(results)
    notes = (
        "Points of accuracy, paired by seed.",
        f"Wider: that difference less the one with {names[0] if names else 'none'}.",
        *notes_of(results, "head", "noise", "setting", bold=False),
    )
    columns = ("encoders", "head", "setting", *names, *(f"{name}, wider" for name in names[1:]))
    title = "Encoders against each other by noise in the labels, in points"
    return study_table(title, columns, body, notes, num_text_columns=3)
