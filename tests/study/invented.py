"""Rows of a study that never ran: numbers from a formula, so that tables and figures have a known shape."""

import math

import numpy as np

from noiseproof.evaluate.metrics import METRICS
from noiseproof.study.grid import Grid
from noiseproof.study.measures.portraits import asked_curvature, asked_map, has_curvature, map_noises
from noiseproof.study.recipe import Recipe
from noiseproof.study.results import found_in
from noiseproof.study.rows import Cell, CurvatureRow, MapRow, Spectrum

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
    return Recipe(**(values | changed))


def invented(seed=0, **changed):
    """`Found` for a whole grid."""
    return found_in(invented_rows(invented_recipe(**changed), seed=seed), invented_recipe(**changed))


def invented_rows(recipe, *, seed=0):
    grid, rng = Grid(recipe), np.random.default_rng(seed)
    tasks, heads = list(recipe.tasks), list(recipe.heads)
    rows = []
    for encoder, backbone in grid.backbones:
        for task in tasks:
            for i, one in enumerate(grid.evaluations(task)):
                rows.append(_spectrum(grid, encoder, backbone, task, one, tasks.index(task) + 0.3 * i))
    for fit in grid.fits():
        for i, one in enumerate(grid.evaluations(fit.task)):
            noise = fit.encoder.noise or 0.0
            trend = 0.3 * noise * (0.25 - noise) if one.domain == "id" else -0.2 * noise
            level = 0.9 - 0.08 * tasks.index(fit.task) - 0.2 * i + 0.02 * heads.index(fit.head)
            rate = 0.0 if fit.noise is None else fit.noise.rate
            accuracy = level + trend + 0.05 * math.log(fit.share) - 0.3 * rate**2 + rng.normal(0, 0.004)
            rows.append(_cell(grid, fit, one, accuracy, noise, heads.index(fit.head)))
    return [*rows, *_maps(grid), *_curvatures(grid)]


def _maps(grid):
    for encoder, backbone in grid.backbones:
        for task in grid.recipe.tasks:
            for noise in map_noises(grid.recipe, task):
                asked = asked_map(grid, backbone, encoder.layer, task, noise)
                yield MapRow(
                    cell=asked, asked=asked, backbone=backbone, layer=encoder.layer, task=task,
                    noise_kind=noise and noise.kind, noise_rate=noise.rate if noise else 0.0,
                    set_name=f"{task} (held out)", num_examples=9, class_names=["ant", "bee"],
                    rows=[0, 3, 5, 8], given=[0, 1, 0, 1], clean=[0, 1, 1, 1], explained=[0.5, 0.25],
                    linear=[[0.0, 1.0], [2.0, 3.0], [1.0, 1.0], [2.0, 2.0]],
                    neighbours=[[5.0, 1.0], [2.0, 3.0], [1.0, 4.0], [2.0, 2.0]],
                )  # fmt: skip


def _curvatures(grid):
    for fit in grid.fits():
        if has_curvature(grid, fit):
            asked, top = asked_curvature(grid, fit), 2 + (fit.encoder.noise or 0.0) + fit.seed
            yield CurvatureRow(
                cell=asked, asked=asked, **fit.coordinates(), realised_rate=0.0, num_train=100,
                eigenvalues=[top, 1.0, 0.5], trace=3 * top, trace_standard_error=0.2, num_parameters=10,
            )  # fmt: skip


def _cell(grid, fit, one, accuracy, noise, head):
    has_spectrum = grid.recipe.has_head_spectra
    return Cell(
        cell=grid.asked(fit, one), asked=grid.asked(fit, one), **fit.coordinates(),
        set_name=_set_name(fit.task, one), domain=one.domain, num_train=100, num_examples=50,
        realised_rate=0.0 if fit.noise is None else fit.noise.rate, fit_s=1.0 + head,
        metrics=dict.fromkeys(METRICS, accuracy),
        entropy_nats=4.5 + noise - 0.1 * head if has_spectrum else None,
        largest_ratio=1.5 + noise + 0.1 * head if has_spectrum else None,
    )  # fmt: skip


def _spectrum(grid, encoder, backbone, task, one, shift):
    noise = encoder.noise or 0.0
    values = np.exp(-np.arange(64) * (0.12 - 0.1 * noise) - shift / 10)
    asked = grid.asked_spectrum(backbone, None, task, one)
    return Spectrum(
        cell=asked, asked=asked, backbone=backbone, layer=None, task=task,
        set_name=_set_name(task, one), domain=one.domain,
        num_examples=50, singular_values=values.tolist(), centred_singular_values=(values * 0.9).tolist(),
        entropy_nats=3 + shift / 2 + noise, largest_ratio=2 + shift / 3 + noise, effective_rank=20.0,
        centred_entropy_nats=3.5 + noise, centred_largest_ratio=2.5 + noise, centred_effective_rank=30.0,
        encode_s={f"{backbone} {task}": 2.0},
    )  # fmt: skip


def _set_name(task, one):
    return one.spec or f"{task} (held out)"
