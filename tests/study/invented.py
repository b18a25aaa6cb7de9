"""Rows of a study that never ran: numbers from a formula, so that tables and figures have a known shape."""

import math
from dataclasses import replace

import numpy as np

from noiseproof.evaluate.metrics import METRICS
from noiseproof.study.compute import requests_of
from noiseproof.study.grid import Grid
from noiseproof.study.measures.diagnosis_measures import CurvatureMeasure, MapMeasure, SpectrumMeasure
from noiseproof.study.recipe import StudyRecipe
from noiseproof.study.rows import CurvatureRow, HeadRow, MapRow, SpectrumRow
from noiseproof.study.study_results import collect_results

ENCODERS = [
    *(
        {
            "name": f"zoo:a-{noise}",
            "family": "supervised",
            "noise": noise / 100,
            "accuracy": 0.9 - noise / 200,
        }
        for noise in (0, 5, 10, 20, 30, 50)
    ),
    *(
        {
            "name": f"zoo:b-{noise}",
            "family": "image-text",
            "noise": noise / 100,
            "accuracy": 0.9 - noise / 200,
        }
        for noise in (0, 10, 30)
    ),
]
TASKS = {
    "fashion": {"train": "f", "test": "ft"},
    "digits": {"train": "d"},
    "photo": {"train": "p", "ood": ["q", "r"]},
    "cifar10": {"train": "c", "test": "ct", "ood": ["s"]},
}


def invented_recipe(**changed):
    values = {
        "name": "invented", "claim": "Slight noise helps in domain.", "source": "nowhere", "command": "none",
        "minutes": 1, "hardware": "paper", "needs": "nothing", "expected": "up, then down",
        "backbones": ENCODERS, "tasks": TASKS, "heads": {"linear": {}, "mlp": {}, "nmtune": {}},
        "has_head_spectra": True,
    }  # fmt: skip
    return StudyRecipe(**(values | changed))


def invented(seed=0, **changed):
    """Results for a whole grid."""
    return collect_results(invented_rows(invented_recipe(**changed), seed=seed), invented_recipe(**changed))


def invented_rows(recipe, *, seed=0):
    grid, rng = Grid(recipe), np.random.default_rng(seed)
    tasks, heads = list(recipe.tasks), list(recipe.heads)
    rows = []
    for request in requests_of(grid):
        place, pending = request.place, replace(request, result_key=request.key)
        noise, task = place.encoder.noise or 0.0, tasks.index(place.task)
        i = grid.evaluations(place.task).index(place.evaluation)
        if isinstance(request.measure, SpectrumMeasure):
            rows.append(_spectrum(pending, noise, task + 0.3 * i))
        elif isinstance(request.measure, MapMeasure):
            rows.append(_map(pending))
        elif isinstance(request.measure, CurvatureMeasure):
            rows.append(_curvature(pending, 2 + noise + place.seed))
        else:
            head, one = heads.index(place.head), place.evaluated
            trend = 0.3 * noise * (0.25 - noise) if one.domain == "id" else -0.2 * noise
            level = 0.9 - 0.08 * task - 0.2 * i + 0.02 * head
            rate = 0.0 if place.noise is None else place.noise.rate
            accuracy = level + trend + 0.05 * math.log(place.share) - 0.3 * rate**2 + rng.normal(0, 0.004)
            rows.append(_head(pending, accuracy, noise, head, has_spectrum=recipe.has_head_spectra))
    return rows


def _map(pending):
    return pending.row(
        MapRow,
        set_name=f"{pending.place.task} (held out)", num_examples=9, class_names=["ant", "bee"],
        rows=[0, 3, 5, 8], given=[0, 1, 0, 1], clean=[0, 1, 1, 1], explained=[0.5, 0.25],
        linear=[[0.0, 1.0], [2.0, 3.0], [1.0, 1.0], [2.0, 2.0]],
        neighbours=[[5.0, 1.0], [2.0, 3.0], [1.0, 4.0], [2.0, 2.0]],
    )  # fmt: skip


def _curvature(pending, top):
    return pending.row(
        CurvatureRow, realised_rate=0.0, num_train=100, eigenvalues=[top, 1.0, 0.5], trace=3 * top,
        trace_standard_error=0.2, num_parameters=10,
    )  # fmt: skip


def _head(pending, accuracy, noise, head, *, has_spectrum):
    place = pending.place
    return pending.row(
        HeadRow,
        set_name=_set_name(place), domain=place.evaluated.domain, num_train=100, num_examples=50,
        realised_rate=0.0 if place.noise is None else place.noise.rate, fit_s=1.0 + head,
        metrics=dict.fromkeys(METRICS, accuracy),
        entropy_nats=4.5 + noise - 0.1 * head if has_spectrum else None,
        largest_ratio=1.5 + noise + 0.1 * head if has_spectrum else None,
    )  # fmt: skip


def _spectrum(pending, noise, shift):
    place = pending.place
    values = np.exp(-np.arange(64) * (0.12 - 0.1 * noise) - shift / 10)
    return pending.row(
        SpectrumRow,
        set_name=_set_name(place), domain=place.evaluated.domain,
        num_examples=50, singular_values=values.tolist(), centred_singular_values=(values * 0.9).tolist(),
        entropy_nats=3 + shift / 2 + noise, largest_ratio=2 + shift / 3 + noise, effective_rank=20.0,
        centred_entropy_nats=3.5 + noise, centred_largest_ratio=2.5 + noise, centred_effective_rank=30.0,
        encode_s={f"{place.backbone} {place.task}": 2.0},
    )  # fmt: skip


def _set_name(place):
    return place.evaluated.spec or f"{place.task} (held out)"
