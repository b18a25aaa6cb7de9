"""Heads: train them on features, those that share their data together, and evaluate each on every set.

Tunings share `AbstractTrainedMeasure`.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import asdict, replace
from itertools import product
from typing import Any

import numpy as np
import torch

from noiseproof.detect.algorithm import ALGORITHM
from noiseproof.detect.transition_estimate import DEFAULT_METHOD, estimate_transition
from noiseproof.diagnose.spectrum import spectrum
from noiseproof.evaluate.results import ResultRow
from noiseproof.heads.abstract import AbstractHead, AbstractReshapingHead, fit_heads
from noiseproof.heads.recipes import HeadSpec
from noiseproof.pipelines.inputs.data_parts import evaluate_on
from noiseproof.pipelines.run_heads.heads import HeadVariant
from noiseproof.study.grid import Place
from noiseproof.study.measures.material import TrainingData
from noiseproof.study.measures.measure import AbstractMeasure, RowRequest, Workbench
from noiseproof.study.rows import HeadRow

_TOGETHER = 16  # MLPs of one stack: memory grows with their number, speed hardly any more


class AbstractTrainedMeasure(AbstractMeasure):
    """Every name x setting on every training data, with a row for each evaluation set."""

    title = "{head}"
    is_batched = True

    @property
    @abstractmethod
    def variants(self) -> Iterable[tuple[str, str]]:
        """Name and setting of everything that is trained on one training data."""

    @abstractmethod
    def options(self, place: Place) -> dict[str, Any]:
        """Options of what is trained, without those that keep their defaults."""

    def places(self) -> Iterator[Place]:
        """Every variant x evaluation set on every training data."""
        variants = list(self.variants)
        for data in self.grid.trainings() if variants else ():
            for head, setting in variants:
                for one in self.grid.evaluations(data.task):
                    yield replace(data, head=head, setting=setting, evaluation=one)

    def request(self, place: Place) -> dict[str, Any]:
        """The place, the options, and whether a head's spectrum is requested."""
        return {
            **self.grid.training_request(place),
            "set": self.grid.set_request(place),
            "options": self.options(place),
            "has_spectrum": self.grid.recipe.has_head_spectra,
        }

    @staticmethod
    def row_of(request: RowRequest, bench: Workbench, result: ResultRow, **own: Any) -> HeadRow:
        """The row of a result on its evaluation set, with further values of a `HeadRow`."""
        data = bench.data(request.place)
        return request.row(
            HeadRow,
            set_name=result.set_name,
            domain=result.domain,
            realised_rate=data.realised_rate,
            num_train=len(data.rows),
            num_examples=result.num_examples,
            metrics=result.metrics,
            **own,
        )


class HeadMeasure(AbstractTrainedMeasure):
    """Every head with every setting, on every evaluation set."""

    @property
    def variants(self) -> Iterable[tuple[str, str]]:
        """Every head with every setting of the recipe."""
        return product(self.grid.recipe.heads, self.grid.recipe.settings)

    def options(self, place: Place) -> dict[str, Any]:
        """Options of the head."""
        return self.grid.variant(place).to_json()

    def decided_by(self, place: Place, bench: Workbench) -> dict[str, Any]:
        """The resolved options, training and evaluation data."""
        variant = self.grid.variant(place)
        (head,) = variant.build([place.seed])
        content: dict[str, Any] = {
            "train": [bench.train_key, bench.data(place).key, bench.view_keys],
            "test": bench.test_keys[place.evaluation],
            "spec": spec_to_json(head.spec()),
        }
        if variant.needs_transition_matrix:
            content["transition"] = DEFAULT_METHOD
        if variant.needs_transition_matrix or head.spec().training.noise_tolerant:
            content["algorithm"] = ALGORITHM
        return content

    def group(self, place: Place, bench: Workbench) -> Hashable:
        """As heads are trained together."""
        return bench.tool(HeadTrainer).group(place)

    def row(self, request: RowRequest, bench: Workbench) -> HeadRow:
        """Train a head with its group, unless that was done for another row, and evaluate it."""
        place, part = request.place, bench.part(request.place)
        head, fit_s = bench.tool(HeadTrainer).trained(place)
        features = bench.features.matrix(part)
        result = evaluate_on(
            part, head, features, part.best_labels, name=str(place.head), seed=place.seed,
            set_name=part.name, domain=place.evaluated.domain,
        )  # fmt: skip
        own = {"fit_s": fit_s}
        if self.grid.recipe.has_head_spectra:
            is_reshaped = isinstance(head, AbstractReshapingHead)
            card = spectrum(head.transform(features) if is_reshaped else features)
            own |= {"entropy_nats": card.entropy_nats, "largest_ratio": card.largest_ratio}
        return self.row_of(request, bench, result, **own)


def spec_to_json(spec: HeadSpec) -> dict[str, Any]:
    """Everything that decides a head.

    Options that came later are left out while they keep their defaults, so that older rows are still found.
    """
    values = asdict(spec)
    if spec.training.loss_options == HeadSpec().training.loss_options:
        del values["training"]["loss_options"]
    if not spec.training.noise_tolerant:
        del values["training"]["noise_tolerant"]
    return values


class HeadTrainer:
    """Groups the heads of one encoder and task, and keeps those of the group that was trained last."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._members: dict[Hashable, dict[Hashable, Place]] = {}  # shared data -> heads to train
        self._groups: dict[Hashable, tuple[Hashable, int]] = {}
        self._trained: dict[Hashable, tuple[AbstractHead, float]] = {}
        self._transitions: dict[str, list[list[float]]] = {}  # by key of the training data

    def group(self, place: Place) -> tuple[Hashable, int]:
        """Heads to train in one go: those that share data, and on a CPU each MLP alone (`heads.fit`).

        A group is on disk when it is done, so it is also the most that an interruption loses.
        """
        key = place.training
        if key not in self._groups:
            (head,) = self._bench.grid.variant(place).build([place.seed])
            layers = head.spec().architecture.hidden_layers
            alone = key if layers and not torch.cuda.is_available() else None
            shared = (self._bench.data(place).key, layers and place.head, alone)
            members = self._members.setdefault(shared, {})
            self._groups[key] = (shared, len(members) // _TOGETHER)
            members[key] = place
        return self._groups[key]

    def trained(self, place: Place) -> tuple[AbstractHead, float]:
        """A fitted head and its part of the seconds; it is trained with its group unless that came last."""
        key, group = place.training, self.group(place)
        if key not in self._trained:
            own = {one: each for one, each in self._members[group[0]].items() if self._groups[one] == group}
            self._trained = dict(zip(own, self._train(list(own.values())), strict=True))
        return self._trained[key]

    def learned_from(self, data: TrainingData) -> tuple[np.ndarray, np.ndarray | None]:
        """Features of the first view, and those of a second view where the recipe has two."""
        views = [self._bench.features.stored(one).features[data.rows] for one in self._bench.task.parts.views]
        first, second = views or (self._bench.train_features[data.rows], None)
        return first, second

    def _train(self, places: list[Place]) -> list[tuple[AbstractHead, float]]:
        data = self._bench.data(places[0])
        heads = [head for one in places for head in self._variant(one, data).build([one.seed])]
        first, second = self.learned_from(data)
        begin = time.perf_counter()
        fit_heads(heads, first, data.labels, second_view=second)
        fit_s = (time.perf_counter() - begin) / len(heads)
        return [(head, fit_s) for head in heads]

    def _variant(self, place: Place, data: TrainingData) -> HeadVariant:
        """The head of a place; a loss without a transition matrix gets an estimate from the same data."""
        variant = self._bench.grid.variant(place)
        if not variant.needs_transition_matrix:
            return variant
        if data.key not in self._transitions:
            found = estimate_transition(self._bench.train_features[data.rows], data.given_labels)
            self._transitions[data.key] = found.matrix.tolist()
        return variant.with_transition(self._transitions[data.key])
