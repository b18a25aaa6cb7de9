"""Curvature of the loss of trained heads, for studies with the figure "curvature"."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

from noiseproof.losses.batch import is_per_example
from noiseproof.pipelines.portrait import fitted_curvature
from noiseproof.study.grid import Grid, Place
from noiseproof.study.measures.head_measure import HeadMeasure, HeadTrainer
from noiseproof.study.measures.measure import AbstractMeasure, RowRequest, Workbench
from noiseproof.study.rows import CurvatureRow

CURVATURE = "curvature"
_BATCH_ROWS = 2048


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
