"""Heads and encoders against the first one under every noise in the labels, and what each loses to it."""

from __future__ import annotations

from itertools import combinations, product

from noiseproof.report.tables import Table, name_cell
from noiseproof.study.comparisons import difference_cell
from noiseproof.study.found import Found, paired, per_seed
from noiseproof.study.notes import notes_of


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
