"""Tables of differences on the places that both sides have: encoders, heads and settings in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product
from statistics import fmean

import pandas as pd

from noiseproof.report.tables import NONE, Cell, Table
from noiseproof.study.study_results import StudyResults, differences, select
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
                rows, clean = results.select(domain=domain, head=head, noise=noise), results.clean_key(family)
                gains = differences(rows, "score", "encoder", encoder.key, clean)
                cells += [score_cell(select(rows, encoder)), difference_cell(gains.values())]
            body.append((family, rate_cell(encoder.noise), head, *cells))
    columns = [name for domain in results.domains for name in (DOMAINS[domain], "against clean")]
    notes = (
        *notes_of(results, "head", *(["noise"] if noise else []), bold=False),
        *chosen_noise(results),
        _POINTS,
        *without_clean(results),
    )
    title = "Accuracy in % by noise in pre-training"
    return study_table(title, ("family", "noise", "head"), columns, body, notes)


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
    for pair, task in product(pairs, (*results.values("task"), None)):
        cells: list[Cell] = []
        for domain in results.domains:
            cells += _over_seeds_and_encoders(results.select(domain=domain, task=task), axis, *pair)
        body.append((" against ".join(pair), task or "mean", *cells))
    columns = [f"{DOMAINS[domain]}{suffix}" for domain in results.domains for suffix in ("", ", by encoder")]
    notes = (
        "Differences in points, paired by encoder and seed; mean over the encoders that have both. The "
        "interval is over seeds, of means over encoders.",
        "By encoder: the same with an interval over encoders, of means over seeds; it tells whether another "
        "encoder of the kind would show the difference, too.",
        *notes_of(results, axis, bold=False),
    )
    return study_table(f"Differences of {axis}s in points", (f"{axis}s", "set"), columns, body, notes)


def _over_seeds_and_encoders(rows: pd.DataFrame, axis: str, first: str, second: str) -> tuple[Cell, Cell]:
    """The mean difference with its interval over seeds, and with the one over encoders."""
    of_encoders = (own for _, own in rows.groupby("encoder", sort=False))
    found = (differences(own, "score", axis, first, second) for own in of_encoders)
    by_encoder = [by_seed for by_seed in found if by_seed]
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
        parts = [select(both, noise=noise) for noise in (*results.values("noise"), None)]
        cells = [difference_cell(differences(part, "score", "head", head, first).values()) for part in parts]
        body.append((encoder.title, setting, head, *cells))
    notes = (
        f"Points of accuracy more than {first} in the same setting, paired by seed.",
        *notes_of(results, "head", "noise", "setting", bold=False),
    )
    title = f"Heads against {first} by noise in the labels, in points"
    columns = (*noise_titles(results), "mean")
    return study_table(title, ("encoder", "setting", "head"), columns, body, notes)


def encoders_by_noise_table(results: StudyResults) -> Table:
    """Each pair of encoders in domain: the difference under every noise, and by how much noise widens it."""
    body = []
    pairs = list(combinations(results.encoders, 2))
    for head, setting, (first, second) in product(results.heads, results.values("setting"), pairs):
        own = results.select(domain="id", head=head, setting=setting)
        by_noise = [
            differences(select(own, noise=noise), "score", "encoder", second.key, first.key)
            for noise in results.values("noise")
        ]
        wider = [
            [value - by_noise[0][seed] for seed, value in by_seed.items() if seed in by_noise[0]]
            for by_seed in by_noise[1:]
        ]
        cells = [difference_cell(values) for values in (*(one.values() for one in by_noise), *wider)]
        body.append((f"{second.title} against {first.title}", head, setting, *cells))
    titles = noise_titles(results)
    notes = (
        "Points of accuracy, paired by seed.",
        f"Wider: that difference less the one with {titles[0] if titles else 'none'}.",
        *notes_of(results, "head", "noise", "setting", bold=False),
    )
    title = "Encoders against each other by noise in the labels, in points"
    columns = (*titles, *(f"{name}, wider" for name in titles[1:]))
    return study_table(title, ("encoders", "head", "setting"), columns, body, notes)
