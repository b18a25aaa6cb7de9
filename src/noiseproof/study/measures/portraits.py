"""What the figures "feature-maps" and "curvature" of a study are drawn from.

Kept as rows beside the cells, only where a recipe names the figure; other studies ask for none of this and
their rows and addresses are those they had.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from noiseproof.core.files import digest
from noiseproof.diagnose.maps import feature_map
from noiseproof.heads.abstract import AbstractHead
from noiseproof.losses.batch import is_per_example
from noiseproof.noise.spec import Noise
from noiseproof.pipelines.portrait import fitted_curvature
from noiseproof.study.grid import SCHEMA, Fit, Grid, in_domain
from noiseproof.study.measures.material import Encoded, OpenTask, TrainingData
from noiseproof.study.recipe import Encoder, Recipe
from noiseproof.study.rows import CurvatureRow, MapRow

MAPS, CURVATURE = "feature-maps", "curvature"
MAX_POINTS = 1000  # of a map; a line of 40 kB
_BATCH_ROWS = 2048


def map_noises(recipe: Recipe, task: str) -> list[Noise | None]:
    """The labels that maps are coloured by: of the in-domain test set, then with each noise of the task.

    A test set has the labels it came with, so what noise does is shown on the training set.
    """
    if MAPS not in recipe.figures:
        return []
    return [None, *(noise for noise in recipe.noises_of(task) if noise is not None)]


def has_curvature(grid: Grid, fit: Fit) -> bool:
    """Whether the recipe asks for the curvature of a head, and its loss (one without memory) has one."""
    if CURVATURE not in grid.recipe.figures or grid.tuning(fit) is not None:
        return False
    (head,) = grid.variant(fit).build()
    return is_per_example(head.spec().training.loss)


def asked_map(grid: Grid, backbone: str, layer: str | None, task: str, noise: Noise | None) -> str:
    """What the recipe says about one map, as a hash."""
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "map of": grid.asked_spectrum(backbone, layer, task, in_domain(grid, task)),
    }
    if noise is not None:
        content |= {"noise": noise.to_json(), "share": max(grid.recipe.shares)}
    return digest(content)[:32]


def asked_curvature(grid: Grid, fit: Fit) -> str:
    """What the recipe says about the curvature of one head, as a hash."""
    of = grid.asked(fit, in_domain(grid, fit.task))
    return digest({"schema": SCHEMA, "curvature of": of})[:32]


def asked_of_fit(grid: Grid, fit: Fit) -> Iterator[str]:
    """The hashes of everything that a head is trained for."""
    for evaluation in grid.evaluations(fit.task):
        yield grid.asked(fit, evaluation)
    if has_curvature(grid, fit):
        yield asked_curvature(grid, fit)


def asked_portraits(
    grid: Grid, *, encoder: Encoder | None = None, backbone: str | None = None, task: str | None = None
) -> Iterator[str]:
    """The hashes of all maps and curvatures; of one encoder, of its backbone of that name, and task only."""
    if not grid.recipe.heads:
        return
    for one, name in grid.backbones:
        if encoder in (None, one) and backbone in (None, name):
            for each in grid.recipe.tasks if task is None else (task,):
                for noise in map_noises(grid.recipe, each):
                    yield asked_map(grid, name, one.layer, each, noise)
    if CURVATURE in grid.recipe.figures:
        for fit in grid.fits(encoder=encoder, backbone=backbone, task=task):
            if has_curvature(grid, fit):
                yield asked_curvature(grid, fit)


def curvature_address(grid: Grid, fit: Fit, cell: str) -> str:
    """Hash of everything that decides a curvature.

    Args:
        grid: of the study.
        fit: its head.
        cell: address of its result in domain.
    """
    return digest({"schema": SCHEMA, "asked": asked_curvature(grid, fit), "head of": cell})[:32]


class Maps:
    """The maps of one encoder on one task.

    Args:
        grid: of the study.
        encoder: as the recipe has it.
        backbone: name of the one it is.
        encoded: features by it.
        name: of the task.
        task: its data sets.
    """

    def __init__(
        self, grid: Grid, encoder: Encoder, backbone: str, encoded: Encoded, name: str, task: OpenTask
    ) -> None:
        self._grid, self._encoder, self._backbone = grid, encoder, backbone
        self._encoded, self._name, self._task = encoded, name, task

    def asked(self, noise: Noise | None) -> str:
        """As `asked_map`."""
        return asked_map(self._grid, self._backbone, self._encoder.layer, self._name, noise)

    def address(self, noise: Noise | None) -> str:
        """Hash of everything that decides a map."""
        if noise is None:
            part = self._task.tests[in_domain(self._grid, self._name)]
            labels: Any = [part.dataset.given_labels, part.dataset.clean_labels]
        else:
            part, labels = self._task.parts.train, self._noisy(noise).key
        content = {"asked": self.asked(noise), "of": self._encoded.part_key(part), "labels": labels}
        return digest({"schema": SCHEMA, "max_points": MAX_POINTS, **content})[:32]

    def row(self, noise: Noise | None) -> MapRow:
        """Of the in-domain test set; with noise of the training set that heads of seed 0 learn from.

        Raises:
            BadData: fewer than 4 examples, or all of them the same.
        """
        if noise is None:
            part = self._task.tests[in_domain(self._grid, self._name)]
            features, given = self._encoded.features(part), part.given_labels
            clean = part.dataset.clean_labels
        else:
            part, data = self._task.parts.train, self._noisy(noise)
            features = self._encoded.features(part).rows(data.rows)
            given, clean = data.given_labels, part.given_labels[data.rows]
        found = feature_map(features, max_points=MAX_POINTS, seed=self._grid.recipe.split_seed)
        return MapRow(
            cell=self.address(noise),
            asked=self.asked(noise),
            backbone=self._backbone,
            layer=self._encoder.layer,
            task=self._name,
            noise_kind=None if noise is None else noise.kind,
            noise_rate=0.0 if noise is None else noise.rate or 0.0,
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

    def _noisy(self, noise: Noise) -> TrainingData:
        return self._task.training_data(share=max(self._grid.recipe.shares), noise=noise, seed=0)


def curvature_row(
    grid: Grid, fit: Fit, address: str, head: AbstractHead, features: Float[np.ndarray, "n d"],
    data: TrainingData,
) -> CurvatureRow:  # fmt: skip
    """Curvature of the loss of a trained head on the features and labels it was trained on.

    Args:
        grid: of the study.
        fit: its place.
        address: of the row.
        head: fitted.
        features: of the examples it learned from.
        data: which they are, and their labels.

    Raises:
        BadData: eigenvalues that do not converge, a loss without finite second derivatives.
    """
    starts = range(0, len(features), _BATCH_ROWS)
    blocks = ((start, features[start : start + _BATCH_ROWS]) for start in starts)
    found = fitted_curvature(head, blocks, data.given_labels, seed=fit.seed)
    return CurvatureRow(
        cell=address,
        asked=asked_curvature(grid, fit),
        **fit.coordinates(),
        realised_rate=data.realised_rate,
        num_train=len(data.rows),
        **found.to_json(),
    )


def _short(points: Float[np.ndarray, "m 2"]) -> list[list[float]]:
    """As many digits as a picture shows."""
    return [[float(f"{value:.5g}") for value in point] for point in points]
