"""Tables of a study, in the shapes of the paper's (Chen, Wang et al. 2024, arXiv:2309.17002)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pandas as pd

from noiseproof.evaluate.protocol import is_positive
from noiseproof.report.tables import NONE, Cell, Table, decimal_cell, name_cell, percent, percent_cell
from noiseproof.study.results import Found, over_seeds, paired, per_seed
from noiseproof.study.tables.detectors import ARENA_TABLES
from noiseproof.study.tables.differences import (
    encoders_by_noise_table,
    heads_by_noise_table,
    heads_table,
    influence_table,
    settings_compared_table,
)
from noiseproof.study.tables.notes import DOMAINS, notes_of, rate_cell


def models_table(found: Found) -> Table:
    """Accuracy and F1 of every encoder and head, mean over sets (the paper's Table 2)."""
    asked = [(domain, value) for domain in found.domains for value in ("score", "macro_f1")]
    body = []
    for encoder in found.encoders:
        columns = [_heads(found, found.select(encoder, domain=domain), value) for domain, value in asked]
        for head in found.heads:
            cells = [column[head] for column in columns]
            body.append((name_cell(encoder.title), name_cell(head), *cells))
    names = [f"{'acc.' if value == 'score' else 'F1'} {DOMAINS[domain]}" for domain, value in asked]
    header = ("encoder", "head", *names)
    return Table("Encoders and heads, in %", header, tuple(body), notes_of(found, "head"), num_text_columns=2)


def pretraining_table(found: Found) -> Table:
    """What pre-training reached on held-out data, by noise and family (Table 3)."""
    known = {
        (one.family, one.noise): found.pretraining_accuracy(one)
        for one in found.encoders
        if one.noise is not None
    }
    families = [family for family in found.families if found.noisy(family)]
    body = [
        (rate_cell(noise), *(percent(known.get((family, noise))) for family in families))
        for noise in _noises(found)
    ]
    notes = ("On held-out data with clean labels, as the card of each encoder has it; mean over repeats.",)
    return Table("Accuracy of pre-training in %", ("noise", *families), tuple(body), notes)


def sets_in_domain_table(found: Found) -> Table:
    """Every in-domain set (Table 7)."""
    return _sets_table(found, "id", "In-domain accuracy in %", ())


def sets_out_of_domain_table(found: Found) -> Table:
    """By training set, mean over its out-of-domain sets (Table 8)."""
    note = "A column: trained on this set, mean over the out-of-domain sets that belong to it."
    return _sets_table(found, "ood", "Out-of-domain accuracy in %", (note,))


def runtime_table(found: Found) -> Table:
    """Seconds for the features, once, and for training each head, per seed (Table 14)."""
    heads = found.heads
    body = []
    for task in [*found.values("task"), None]:
        cells = found.select(task=task)
        # A head is trained once, however many sets it is evaluated on.
        trained = cells.drop_duplicates(["encoder", "task", "share", "noise", "head", "setting", "seed"])
        row = [_seconds(_total(trained[trained["head"] == head])) for head in heads]
        body.append((name_cell(task or "all"), _encoding(found, task), *row))
    notes = (
        "Wall time on the hardware of study.json: features once for all heads and seeds; training per seed, "
        f"summed over {len(found.encoders)} encoders and over shares, noise in the labels and settings.",
        f"{NONE}: the features were in the store before, so their time was not measured.",
    )
    return Table("Seconds", ("set", "features, once", *heads), tuple(body), notes)


def settings_table(found: Found) -> Table:
    """Settings of the heads against pre-training noise, a column per family (Tables 15 and 16)."""
    domains = found.domains
    body = []
    for setting in found.values("setting"):
        for noise in _noises(found):
            cells = []
            for family in found.families:
                encoders = [one for one in found.noisy(family) if one.noise == noise]
                for domain in domains:
                    own = [found.select(one, domain=domain, setting=setting) for one in encoders]
                    cells.append(percent_cell(over_seeds(pd.concat(own), "score")) if own else Cell(NONE))
            body.append((name_cell(setting), rate_cell(noise), *cells))
    names = [f"{family}, {DOMAINS[domain]}" for family in found.families for domain in domains]
    columns, notes = ("setting", "noise", *names), notes_of(found, "setting", bold=False)
    return Table("Accuracy in % by setting", columns, tuple(body), notes, num_text_columns=2)


def spectrum_table(found: Found) -> Table:
    """SVE in domain and LSVR out of domain of the features, mean over sets (the quantities of Figure 3)."""
    domains = found.domains
    quantities = [
        (name, f"{prefix}{key}")
        for prefix, suffix in (("", ""), ("centred_", " centred"))
        for key, name in (("entropy_nats", f"SVE{suffix}"), ("largest_ratio", f"LSVR{suffix}"))
    ]
    body = [
        (
            name_cell(encoder.title),
            *(
                decimal_cell(found.spectrum_mean(encoder, key, domain=domain))
                for domain in domains
                for _, key in quantities
            ),
        )
        for encoder in found.encoders
    ]
    names = [f"{name}, {DOMAINS[domain]}" for domain in domains for name, _ in quantities]
    notes = (
        "SVE: entropy of the singular values in nats. LSVR: minus the log of the largest one's share.",
        "Mean over the sets of a task first, then over tasks.",
        "± is the half width of the 95 % interval over the repeats of an encoder (Student's t). Without one "
        "there is one number per encoder and set, and nothing to tell luck from effect.",
    )
    return Table("Spectrum of the features", ("encoder", *names), tuple(body), notes)


def noise_table(found: Found) -> Table:
    """Noise in pre-training against noise in the labels (the numbers of Figures 15 and 16)."""
    noises, settings = found.values("noise"), found.values("setting")
    has_settings = len(settings) > 1
    body = []
    for head, encoder, setting in product(found.heads, found.encoders, settings):
        own = found.select(encoder, domain="id", head=head, setting=setting)
        cells = [percent_cell(over_seeds(own[own["noise"] == one], "score")) for one in noises]
        if len(own):
            place = (head, encoder.title, setting)[: 3 if has_settings else 2]
            body.append((*map(name_cell, place), *cells))
    names = [one.replace(":", " ") for one in noises]
    notes = (
        *notes_of(found, "head", "noise", "setting", bold=False),
        "Columns: wrong labels in the training set, kind and rate.",
    )
    columns = ("head", "encoder", *(["setting"] if has_settings else []), *names)
    num_text = 3 if has_settings else 2
    return Table("In-domain accuracy in %", columns, tuple(body), notes, num_text_columns=num_text)


TABLES: dict[str, Callable[[Found], Table]] = {
    "models": models_table,
    "pretraining": pretraining_table,
    "sets-in-domain": sets_in_domain_table,
    "sets-out-of-domain": sets_out_of_domain_table,
    "runtime": runtime_table,
    "settings": settings_table,
    "settings-compared": settings_compared_table,
    "heads": heads_table,
    "heads-by-noise": heads_by_noise_table,
    "encoders-by-noise": encoders_by_noise_table,
    "influence": influence_table,
    "spectrum": spectrum_table,
    "noise-x-noise": noise_table,
    **ARENA_TABLES,
}


def _sets_table(found: Found, domain: str, title: str, notes: tuple[str, ...]) -> Table:
    in_domain = found.select(domain=domain)
    tasks = [] if not len(in_domain) else list(dict.fromkeys(in_domain["task"]))
    body = []
    for encoder in found.encoders:
        columns = [
            _heads(found, found.select(encoder, domain=domain, task=task), "score") for task in (*tasks, None)
        ]
        for head in found.heads:
            body.append((name_cell(encoder.title), name_cell(head), *(column[head] for column in columns)))
    columns_named = ("encoder", "head", *tasks, "mean")
    return Table(title, columns_named, tuple(body), (*notes_of(found, "head"), *notes), num_text_columns=2)


def _heads(found: Found, cells: pd.DataFrame, value: str) -> dict[str, Cell]:
    """Head -> its mean, bold where it is clearly ahead of every other on what both have."""
    by_head = {head: cells[cells["head"] == head] for head in found.heads}
    shown = {}
    for head, own in by_head.items():
        others = [rows for other, rows in by_head.items() if other != head]
        is_best = bool(others) and all(
            is_positive(per_seed(paired(own, rows, value, but="head"), value).values()) for rows in others
        )
        shown[head] = percent_cell(over_seeds(own, value), is_best=is_best)
    return shown


def _total(trained: pd.DataFrame) -> float | None:
    """Mean over seeds of the seconds of all heads of a seed."""
    return float(trained.groupby("seed")["fit_s"].sum().mean()) if len(trained) else None


def _encoding(found: Found, task: str | None) -> Cell:
    """Of every data set once, though several tasks and evaluation sets may use it or parts of it."""
    encode_s: dict[str, float | None] = {}
    for row in found.spectra:
        if task in (None, row.task):
            for key, seconds in row.encode_s.items():
                encode_s[key] = encode_s.get(key) or seconds
    known = [seconds for seconds in encode_s.values() if seconds is not None]
    return _seconds(sum(known) if known and len(known) == len(encode_s) else None)


def _seconds(value: float | None) -> Cell:
    return Cell(NONE) if value is None else Cell(f"{value:,.2f}", value=value)


def _noises(found: Found) -> list[float]:
    return sorted({encoder.noise for encoder in found.encoders if encoder.noise is not None})
