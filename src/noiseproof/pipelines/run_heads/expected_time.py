"""Expected training time of heads, measured on a few steps before the work begins."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import torch

from noiseproof.heads.fit import TrainingExamples, budget_of, fit_specs, num_steps
from noiseproof.heads.recipes import HeadSpec, Training
from noiseproof.pipelines.run_heads.heads import HeadVariant

_STEPS = 4  # the first is slower and does not count


def training_time_s(
    heads: Sequence[HeadVariant], *, num_examples: int, dim: int, num_classes: int, num_views: int = 1
) -> float:
    """Expected seconds that heads train, all seeds together."""
    total = 0.0
    for head in heads:
        specs = [one.spec() for one in head.build(range(head.num_seeds))]
        together = specs[:1] if head.trains_seeds_apart else specs
        step_s = _step_time_s(together, num_examples, dim, num_classes, num_views)
        total += step_s * num_steps(specs, num_examples) / len(together)
    return total


def _step_time_s(specs: Sequence[HeadSpec], n: int, dim: int, num_classes: int, num_views: int) -> float:
    """Seconds of one step of heads that train together, on random features."""
    rows = max(2, math.ceil(n / budget_of(specs[0], n).steps_per_epoch))
    training = Training(epochs=1, batch_size=rows)  # another loss costs next to nothing
    generator = torch.Generator().manual_seed(0)
    views = tuple(torch.rand(rows * _STEPS, dim, generator=generator) for _ in range(num_views))
    examples = TrainingExamples(views, torch.arange(rows * _STEPS) % num_classes, num_classes)
    ends: list[float] = []
    fit_specs(
        [replace(spec, training=training) for spec in specs], examples,
        on_step=lambda _: ends.append(time.perf_counter()),
    )  # fmt: skip
    return median(later - earlier for earlier, later in itertools.pairwise(ends))
