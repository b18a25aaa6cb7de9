"""All tables of a study, in the shapes of the paper's (Chen, Wang et al. 2024, arXiv:2309.17002)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

from noiseproof.report.tables import NONE, Table, decimal_cell, percent
from noiseproof.study.study_results import StudyResults, over_seeds, select
from noiseproof.study.tables.cells import mean_cells, rate_cell, score_cell, seconds_cell, study_table
from noiseproof.study.tables.detector_tables import ARENA_TABLES
from noiseproof.study.tables.differences import (
    encoders_by_noise_table,
    heads_by_noise_table,
    heads_table,
    influence_table,
    settings_compared_table,
)
from noiseproof.study.tables.notes import DOMAINS, noise_titles, notes_of


def models_table(results: StudyResults) -> Table:
    """Accuracy and F1 of every encoder and head, mean over sets (the paper's Table 2)."""
    columns = [
        (f"{name} {DOMAINS[domain]}", {"domain": domain}, value)
        for domain in results.domains
        for value, name in (("score", "acc."), ("macro_f1", "F1"))
    ]
    return _heads_by_encoder(results, "Encoders and heads, in %", columns)


def sets_in_domain_table(results: StudyResults) -> Table:
    """Every in-domain set (Table 7)."""
    return _sets_table(results, "id", "In-domain accuracy in %")


def sets_out_of_domain_table(results: StudyResults) -> Table:
    """By training set, mean over its out-of-domain sets (Table 8)."""
    note = "A column: trained on this set, mean over the out-of-domain sets that belong to it."
    return _sets_table(results, "ood", "Out-of-domain accuracy in %", note)


def _sets_table(results: StudyResults, domain: str, title: str, *notes: str) -> Table:
    tasks = dict.fromkeys(results.select(domain=domain)["task"])
    columns = [(task or "mean", {"domain": domain, "task": task}, "score") for task in (*tasks, None)]
    return _heads_by_encoder(results, title, columns, *notes)


def _heads_by_encoder(
    results: StudyResults, title: str, columns: Sequence[tuple[str, dict[str, Any], str]], *notes: str
) -> Table:
    """A row per encoder and head; columns have a name, the rows they take and the value they show."""
    body, heads = [], results.heads
    for encoder in results.encoders:
        cells = [
            mean_cells(results.select(encoder, **own), "head", heads, value) for _, own, value in columns
        ]
        body += [(encoder.title, head, *(column[head] for column in cells)) for head in heads]
    names = [name for name, _, _ in columns]
    return study_table(title, ("encoder", "head"), names, body, (*notes_of(results, "head"), *notes))


def pretraining_table(results: StudyResults) -> Table:
    """Accuracy of pre-training on held-out data, by noise and family (Table 3)."""
    families = [family for family in results.families if results.noisy(family)]
    known = {
        (family, one.noise): results.pretraining_accuracy(one)
        for family in families
        for one in results.noisy(family)
    }
    body = [
        (rate_cell(noise), *(percent(known.get((family, noise))) for family in families))
        for noise in results.rates(*results.families)
    ]
    note = "On held-out data with clean labels, as the card of each encoder has it; mean over repeats."
    return study_table("Accuracy of pre-training in %", ("noise",), families, body, (note,))


def runtime_table(results: StudyResults) -> Table:
    """Seconds for the features, once, and for training each head, per seed (Table 14)."""
    body = []
    for task in [*results.values("task"), None]:
        seconds = results.trained(task).groupby(["head", "seed"])["fit_s"].sum()
        by_head = seconds.groupby("head").mean().to_dict()
        cells = [seconds_cell(by_head.get(head)) for head in results.heads]
        body.append((task or "all", seconds_cell(_encode_s(results, task)), *cells))
    notes = (
        "Wall time on the hardware of study.json: features once for all heads and seeds; training per seed, "
        f"summed over {len(results.encoders)} encoders and over shares, noise in the labels and settings.",
        f"{NONE}: the features were in the store before, so their time was not measured.",
    )
    return study_table("Seconds", ("set",), ("features, once", *results.heads), body, notes)


def _encode_s(results: StudyResults, task: str | None) -> float | None:
    """Seconds for every data set once, though several tasks and evaluation sets may use it or parts of it."""
    encode_s: dict[str, float | None] = {}
    for own in select(results.spectra, task=task)["encode_s"]:
        for key, seconds in own.items():
            encode_s[key] = encode_s.get(key) or seconds
    known = [seconds for seconds in encode_s.values() if seconds is not None]
    return sum(known) if known and len(known) == len(encode_s) else None


def settings_table(results: StudyResults) -> Table:
    """Settings of the heads against pre-training noise, a column per family (Tables 15 and 16)."""
    columns = list(product(results.families, results.domains))
    body = []
    for setting, noise in product(results.values("setting"), results.rates(*results.families)):
        own = results.select(setting=setting, pretraining_noise=noise)
        cells = [score_cell(select(own, family=family, domain=domain)) for family, domain in columns]
        body.append((setting, rate_cell(noise), *cells))
    names = [f"{family}, {DOMAINS[domain]}" for family, domain in columns]
    notes = notes_of(results, "setting", bold=False)
    return study_table("Accuracy in % by setting", ("setting", "noise"), names, body, notes)


def spectrum_table(results: StudyResults) -> Table:
    """SVE in domain and LSVR out of domain of the features, mean over sets (the quantities of Figure 3)."""
    quantities = [
        (domain, f"{prefix}{key}", f"{name}{suffix}, {DOMAINS[domain]}")
        for domain in results.domains
        for prefix, suffix in (("", ""), ("centred_", " centred"))
        for key, name in (("entropy_nats", "SVE"), ("largest_ratio", "LSVR"))
    ]
    body = []
    for one in results.encoders:
        own = {domain: select(results.spectra, one, domain=domain) for domain in results.domains}
        body.append((one.title, *(decimal_cell(over_seeds(own[at], key)) for at, key, _ in quantities)))
    notes = (
        "SVE: entropy of the singular values in nats. LSVR: minus the log of the largest one's share.",
        "Mean over the sets of a task first, then over tasks.",
        "± is the half width of the 95 % interval over the repeats of an encoder (Student's t). Without one "
        "there is one number per encoder and set, and nothing to tell luck from effect.",
    )
    columns = [name for _, _, name in quantities]
    return study_table("Spectrum of the features", ("encoder",), columns, body, notes)


def noise_table(results: StudyResults) -> Table:
    """Noise in pre-training against noise in the labels (the numbers of Figures 15 and 16)."""
    noises, settings = results.values("noise"), results.values("setting")
    names = ("head", "encoder", "setting")[: 3 if len(settings) > 1 else 2]
    body = []
    for head, encoder, setting in product(results.heads, results.encoders, settings):
        own = results.select(encoder, domain="id", head=head, setting=setting)
        if len(own):
            cells = [score_cell(select(own, noise=one)) for one in noises]
            body.append((*(head, encoder.title, setting)[: len(names)], *cells))
    notes = (
        *notes_of(results, "head", "noise", "setting", bold=False),
        "Columns: wrong labels in the training set, kind and rate.",
    )
    return study_table("In-domain accuracy in %", names, noise_titles(results), body, notes)


TABLES: dict[str, Callable[[StudyResults], Table]] = {
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
