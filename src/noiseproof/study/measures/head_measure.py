"""Heads: train them on features, and evaluate each on every set of its task."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import asdict
from itertools import product
from typing import Any

from noiseproof.detect.algorithm import ALGORITHM
from noiseproof.detect.transition_estimate import DEFAULT_METHOD
from noiseproof.diagnose.spectrum import spectrum
from noiseproof.heads.abstract import AbstractReshapingHead
from noiseproof.heads.recipes import HeadSpec
from noiseproof.pipelines.data_parts import evaluate_on
from noiseproof.study.grid import Place
from noiseproof.study.measures.head_trainer import HeadTrainer
from noiseproof.study.measures.measure import RowRequest, Workbench
from noiseproof.study.measures.trained_measure import AbstractTrainedMeasure
from noiseproof.study.rows import HeadRow


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
        card = None
        if self.grid.recipe.has_head_spectra:
            is_reshaped = isinstance(head, AbstractReshapingHead)
            card = spectrum(head.transform(features) if is_reshaped else features)
        return self.row_of(request, bench, result, fit_s=fit_s, spectrum=card)


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
