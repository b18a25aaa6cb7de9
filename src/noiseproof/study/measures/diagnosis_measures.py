"""Measures of the diagnosis: spectra of features, examples in the plane, curvature of the loss of heads."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from noiseproof.diagnose.maps import feature_map
from noiseproof.diagnose.spectrum import spectra
from noiseproof.losses.batch import is_per_example
from noiseproof.pipelines.portrait import fitted_curvature
from noiseproof.study.grid import Grid, Place
from noiseproof.study.measures.head_measure import HeadMeasure, HeadTrainer
from noiseproof.study.measures.measure import AbstractMeasure, RowRequest, Workbench
from noiseproof.study.rows import SPECTRAL, CurvatureRow, MapRow, SpectrumRow

MAPS, CURVATURE = "feature-maps", "curvature"  # the figures for which these are computed
MAX_POINTS = 1000  # a line of 40 kB
_BATCH_ROWS = 2048


class SpectrumMeasure(AbstractMeasure):
    """The spectrum of each set, once per backbone. Studies without heads have none."""

    title = "spectrum"
    is_counted = False
    has_trainings = False
    is_shared = True

    def places(self) -> Iterator[Place]:
        """Every backbone x task x evaluation set."""
        if self.grid.recipe.heads:
            for encoder, seed in self.grid.repeats():
                for task in self.grid.recipe.tasks:
                    for one in self.grid.evaluations(task):
                        yield Place(encoder, task, seed, evaluation=one)

    def request(self, place: Place) -> dict[str, Any]:
        """Backbone, layer and set."""
        where = [place.backbone, place.encoder.layer, place.task, *self.grid.set_request(place)]
        return {"spectrum of": where, **self.grid.data_request(place.task)}

    def decided_by(self, place: Place, bench: Workbench) -> dict[str, Any]:
        """The features of the set."""
        return {"of": bench.features.part_key(bench.part(place))}

    def row(self, request: RowRequest, bench: Workbench) -> SpectrumRow:
        """Decompose the features of a set."""
        part, parts = bench.part(request.place), bench.task.parts
        raw, centred = spectra(bench.features.matrix(part))
        encoded = [part.whole, *((parts.train.whole, *parts.views) if part is bench.task.test else ())]
        return request.row(
            SpectrumRow,
            set_name=part.name,
            domain=request.place.evaluated.domain,
            num_examples=raw.num_examples,
            **{name: raw.to_json()[name] for name in SPECTRAL},
            **{f"centred_{name}": centred.to_json()[name] for name in SPECTRAL},
            encode_s=bench.features.encode_s(encoded),
        )


class MapMeasure(AbstractMeasure):
    """A map of the in-domain test set, then one of the noisy training set for each noise of the task.

    A test set has the labels it came with, so the effect of noise is shown on the training set, as heads of
    seed 0 learn from it.
    """

    title = "feature map, {noise}"
    is_counted = False
    has_trainings = False

    def places(self) -> Iterator[Place]:
        """Every backbone x task, without noise and with each noise of the task."""
        r = self.grid.recipe
        for encoder, seed in self.grid.repeats() if r.heads and MAPS in r.figures else ():
            for task in r.tasks:
                test = self.grid.evaluations(task)[0]
                for noise in (None, *filter(None, r.noises_of(task))):
                    yield Place(encoder, task, seed, max(r.shares), noise, evaluation=test)

    def request(self, place: Place) -> dict[str, Any]:
        """Backbone, layer, set and noise."""
        content: dict[str, Any] = {"map of": SpectrumMeasure(self.grid).request_key(place)}
        if place.noise is not None:
            content |= {"noise": place.noise.to_json(), "share": place.share}
        return content

    def decided_by(self, place: Place, bench: Workbench) -> dict[str, Any]:
        """Features and labels."""
        if place.noise is None:
            part = bench.part(place)
            labels: Any = [part.dataset.given_labels, part.dataset.clean_labels]
        else:
            part, labels = bench.task.parts.train, bench.data(replace(place, seed=0)).key
        return {"of": bench.features.part_key(part), "labels": labels, "max_points": MAX_POINTS}

    def row(self, request: RowRequest, bench: Workbench) -> MapRow:
        """Place examples in the plane.

        Raises:
            BadData: fewer than 4 examples, or all of them the same.
        """
        place = request.place
        if place.noise is None:
            part = bench.part(place)
            features, given = bench.features.matrix(part), part.given_labels
            clean = part.dataset.clean_labels
        else:
            part, data = bench.task.parts.train, bench.data(replace(place, seed=0))
            features = bench.features.matrix(part).rows(data.rows)
            given, clean = data.given_labels, part.given_labels[data.rows]
        found = feature_map(features, max_points=MAX_POINTS, seed=self.grid.recipe.split_seed)
        return request.row(
            MapRow,
            set_name=part.name,
            num_examples=len(features),
            class_names=list(part.dataset.class_names),
            rows=found.rows.tolist(),
            given=given[found.rows].tolist(),
            clean=None if clean is None else clean[found.rows].tolist(),
            linear=_short(found.linear),
            explained=found.explained.tolist(),
            neighbours=_short(found.neighbours),
        )


def _short(points: Float[np.ndarray, "m 2"]) -> list[list[float]]:
    """Points with as many digits as a picture shows."""
    return [[float(f"{value:.5g}") for value in point] for point in points]


class CurvatureMeasure(AbstractMeasure):
    """The curvature of every head whose loss is a mean over examples, computed right after its training."""

    title = "curvature of {head}"
    is_counted = False

    def __init__(self, grid: Grid) -> None:
        super().__init__(grid)
        self._heads = HeadMeasure(grid)

    def places(self) -> Iterator[Place]:
        """Every head whose loss depends on one example at a time."""
        if CURVATURE not in self.grid.recipe.figures:
            return
        for place in self._heads.places():
            if place.evaluated.role == "test":
                (head,) = self.grid.variant(place).build()
                if is_per_example(head.spec().training.loss):
                    yield place

    def request(self, place: Place) -> dict[str, Any]:
        """The request of the head in domain."""
        return {"curvature of": self._heads.request_key(place)}

    def decided_by(self, place: Place, bench: Workbench) -> dict[str, Any]:
        """The result of the head in domain."""
        return {"head of": self._heads.result_key(place, bench)}

    def group(self, place: Place, bench: Workbench) -> Hashable:
        """The group of the head, so that it is trained once."""
        return bench.tool(HeadTrainer).group(place)

    def row(self, request: RowRequest, bench: Workbench) -> CurvatureRow:
        """Curvature on the features a head was trained on; of two views on the first.

        Raises:
            BadData: eigenvalues that do not converge, a loss without finite second derivatives.
        """
        place, data = request.place, bench.data(request.place)
        trainer = bench.tool(HeadTrainer)
        features, _ = trainer.learned_from(data)
        starts = range(0, len(features), _BATCH_ROWS)
        blocks = ((start, features[start : start + _BATCH_ROWS]) for start in starts)
        found = fitted_curvature(trainer.trained(place)[0], blocks, data.given_labels, seed=place.seed)
        return request.row(
            CurvatureRow, realised_rate=data.realised_rate, num_train=len(data.rows), **found.to_json()
        )
