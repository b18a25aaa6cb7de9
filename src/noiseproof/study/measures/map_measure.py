"""Feature maps: examples in the plane, for studies with the figure "feature-maps"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from noiseproof.diagnose.maps import feature_map
from noiseproof.study.grid import Place
from noiseproof.study.measures.measure import AbstractMeasure, RowRequest, Workbench
from noiseproof.study.measures.spectrum_measure import SpectrumMeasure
from noiseproof.study.rows import MapRow

MAPS = "feature-maps"
MAX_POINTS = 1000  # a line of 40 kB


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
