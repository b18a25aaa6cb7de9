"""Each head against the first one under every noise in the labels."""

from __future__ import annotations

from itertools import product

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
