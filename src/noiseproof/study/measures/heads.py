"""Train heads of one encoder on one task and turn what they say into rows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from noiseproof.core.files import digest
from noiseproof.detect.transition_estimate import DEFAULT_METHOD, estimate_transition
from noiseproof.diagnose.spectrum import spectrum
from noiseproof.evaluate.protocol import evaluate_head
from noiseproof.heads.abstract import AbstractHead, AbstractReshapingHead, fit_heads
from noiseproof.heads.recipes import HeadSpec
from noiseproof.pipelines.heads import Variant
from noiseproof.study.grid import SCHEMA, Evaluation, Fit, Grid
from noiseproof.study.measures.material import Encoded, OpenTask, TrainingData
from noiseproof.study.measures.portraits import asked_curvature, curvature_row
from noiseproof.study.rows import Cell, CurvatureRow

_TOGETHER_ON_GPU = 16  # MLPs of one stack: memory grows with their number, speed hardly any more


@dataclass(frozen=True, eq=False)
class Job:
    """A head to train, with the results that it lacks.

    Attributes:
        fit: its place in the grid.
        data: what it learns from.
        cells: evaluation -> address, of the results that are not there yet.
        curvature: address of its curvature, where that is asked for and not there yet.
    """

    fit: Fit
    data: TrainingData
    cells: dict[Evaluation, str]
    curvature: str | None = None

    def asked(self, grid: Grid) -> Iterator[str]:
        """What the recipe says about the results it lacks, as hashes."""
        for one in self.cells:
            yield grid.asked(self.fit, one)
        if self.curvature is not None:
            yield asked_curvature(grid, self.fit)


@dataclass(frozen=True, eq=False)
class Trained:
    """Heads that were trained together.

    Attributes:
        jobs: what each is for.
        heads: fitted, in the same order.
        fit_s: wall time of each, its part of the whole.
    """

    jobs: Sequence[Job]
    heads: Sequence[AbstractHead]
    fit_s: float


class Bench:
    """Everything that heads of one encoder and task have in common.

    Args:
        grid: of the study.
        encoded: features by the encoder.
        task: its data sets.
    """

    def __init__(self, grid: Grid, encoded: Encoded, task: OpenTask) -> None:
        self._grid, self._encoded, self._task = grid, encoded, task
        self._train_key = digest(encoded.part_key(task.parts.train))
        self._view_keys = [encoded.key(view) for view in task.parts.views]
        self._test_keys = {
            one: digest([encoded.part_key(part), part.best_labels]) for one, part in task.tests.items()
        }
        self._features: Float[np.ndarray, "n d"] | None = None
        self._transitions: dict[Any, list[list[float]]] = {}  # by key of the training data

    @property
    def train_features(self) -> Float[np.ndarray, "n d"]:
        """Of the whole training part, read once."""
        if self._features is None:
            self._features = np.asarray(self._encoded.features(self._task.parts.train))
        return self._features

    def address(self, fit: Fit, evaluation: Evaluation, data: TrainingData) -> str:
        """Hash of everything that decides a result."""
        variant = self._grid.variant(fit)
        (head,) = variant.build([fit.seed])
        content = {
            "schema": SCHEMA,
            "asked": self._grid.asked(fit, evaluation),
            "train": [self._train_key, data.key, self._view_keys],
            "test": self._test_keys[evaluation],
            "spec": _said(head.spec()),
        }
        if variant.lacks_transition:
            content["transition"] = DEFAULT_METHOD
        return digest(content)[:32]

    def train(self, jobs: Sequence[Job]) -> Trained:
        """Heads that share their data."""
        data = jobs[0].data
        heads = [head for job in jobs for head in self._variant(job).build([job.fit.seed])]
        first, second = self._learned_from(data)
        begin = time.perf_counter()
        fit_heads(heads, first, data.given_labels, second_view=second)
        return Trained(jobs, heads, (time.perf_counter() - begin) / len(heads))

    def cells(self, trained: Trained) -> list[Cell]:
        """Each head on the sets it lacks."""
        return [
            self._cell(job, one, address, head, trained.fit_s)
            for job, head in zip(trained.jobs, trained.heads, strict=True)
            for one, address in job.cells.items()
        ]

    def curvature(self, job: Job, address: str, head: AbstractHead) -> CurvatureRow:
        """Of the loss of a trained head; with two views on the first of them."""
        first, _ = self._learned_from(job.data)
        return curvature_row(self._grid, job.fit, address, head, first, job.data)

    def _learned_from(self, data: TrainingData) -> tuple[np.ndarray, np.ndarray | None]:
        """Features, and those of a second view where there are views."""
        views = [self._encoded.stored(view).features[data.rows] for view in self._task.parts.views]
        first, second = views or (self.train_features[data.rows], None)
        return first, second

    def _variant(self, job: Job) -> Variant:
        """The head of a job; a loss that lacks the transition matrix gets an estimate from the same data."""
        variant = self._grid.variant(job.fit)
        if not variant.lacks_transition:
            return variant
        if job.data.key not in self._transitions:
            features = self.train_features[job.data.rows]
            found = estimate_transition(features, job.data.given_labels)
            self._transitions[job.data.key] = found.matrix.tolist()
        return variant.with_transition(self._transitions[job.data.key])

    def _cell(self, job: Job, evaluation: Evaluation, address: str, head: AbstractHead, fit_s: float) -> Cell:
        part = self._task.tests[evaluation]
        features = self._encoded.features(part)
        row = evaluate_head(
            head, features, part.best_labels, name=job.fit.head, seed=job.fit.seed, set_name=part.name,
            domain=evaluation.domain, class_names=part.dataset.class_names,
        )  # fmt: skip
        card = None
        if self._grid.recipe.has_head_spectra:
            is_reshaped = isinstance(head, AbstractReshapingHead)
            card = spectrum(head.transform(features) if is_reshaped else features)
        return Cell(
            cell=address,
            asked=self._grid.asked(job.fit, evaluation),
            **job.fit.coordinates(),
            set_name=part.name,
            domain=evaluation.domain,
            realised_rate=job.data.realised_rate,
            num_train=len(job.data.rows),
            num_examples=row.num_examples,
            metrics=row.metrics,
            entropy_nats=None if card is None else card.entropy_nats,
            largest_ratio=None if card is None else card.largest_ratio,
            fit_s=fit_s,
        )


def _said(spec: HeadSpec) -> dict[str, Any]:
    """What decides a head, in the words from before there were more options: old results are found."""
    said = asdict(spec)
    if spec.training.loss_options == HeadSpec().training.loss_options:
        del said["training"]["loss_options"]
    if not spec.training.noise_tolerant:
        del said["training"]["noise_tolerant"]
    return said


def in_batches(jobs: Sequence[Job], grid: Grid) -> Iterator[list[Job]]:
    """Jobs to train in one go: those that share data, and on a CPU each MLP alone (`heads.fit`).

    Each batch is on disk when it is done, so it is also the most that an interruption loses.
    """
    groups: dict[Any, list[Job]] = {}
    for job in jobs:
        (head,) = grid.variant(job.fit).build([job.fit.seed])
        layers = head.spec().architecture.hidden_layers
        alone = job.fit if layers and not torch.cuda.is_available() else None
        groups.setdefault((job.data.key, layers and job.fit.head, alone), []).append(job)
    for group in groups.values():
        for start in range(0, len(group), _TOGETHER_ON_GPU):
            yield group[start : start + _TOGETHER_ON_GPU]
