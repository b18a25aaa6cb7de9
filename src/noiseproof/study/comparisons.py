"""Tables of differences: encoders against the clean one, each on what both have."""

from __future__ import annotations

from collections.abc import Collection

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


def difference_cell(differences: Collection[float]) -> Cell:
    """A mean difference in points, with its 95 % interval over what is given."""
    if not differences:
        return Cell(NONE)
    found = interval(differences)
    spread = "" if found.half_width is None else f"± {100 * found.half_width:.1f}"
    return Cell(f"{100 * found.mean:+.1f}", spread, found.mean)
