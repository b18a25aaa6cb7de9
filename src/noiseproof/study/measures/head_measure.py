"""Heads: train them on features, and evaluate each on every set of its task."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import asdict, replace
from typing import Any

from noiseproof.core.files import digest
from noiseproof.detect.transition_estimate import DEFAULT_METHOD
from noiseproof.diagnose.spectrum import spectrum
from noiseproof.evaluate.protocol import evaluate_head
from noiseproof.heads.abstract import AbstractReshapingHead
from noiseproof.heads.recipes import HeadSpec
from noiseproof.study.grid import SCHEMA, Grid, Place
from noiseproof.study.measures.head_trainer import HeadTrainer
from noiseproof.study.measures.measure import AbstractMeasure, PendingRow, Workbench
from noiseproof.study.rows import HeadRow


class HeadMeasure(AbstractMeasure):
    """Every head with every setting, on every evaluation set."""

    title = "{head}"
    is_batched = True

    def places(self) -> Iterator[Place]:
        """Every head x setting x evaluation set on every training data."""
        r = self.grid.recipe
        for data in self.grid.trainings() if r.heads else ():
            for head in r.heads:
                for setting in r.settings:
                    for one in self.grid.evaluations(data.task):
                        yield replace(data, head=head, setting=setting, evaluation=one)

    def request_key(self, place: Place) -> str:
        """Hash of the place and of the options of the head."""
        return training_request(self.grid, place, self.grid.variant(place).to_json())

    def result_key(self, place: Place, bench: Workbench) -> str:
        """Hash of the request, the resolved options, training and evaluation data."""
        variant = self.grid.variant(place)
        (head,) = variant.build([place.seed])
        content = {
            "schema": SCHEMA,
            "asked": self.request_key(place),
            "train": [bench.train_key, bench.data(place).key, bench.view_keys],
            "test": bench.test_keys[place.evaluation],
            "spec": spec_to_json(head.spec()),
        }
        if variant.needs_transition_matrix:
            content["transition"] = DEFAULT_METHOD
        return digest(content)[:32]

    def group(self, place: Place, bench: Workbench) -> Hashable:
        """As heads are trained together."""
        return bench.tool(HeadTrainer).group(place)

    def row(self, pending: PendingRow, bench: Workbench) -> HeadRow:
        """Train a head with its group, unless that was done for another row, and evaluate it."""
        place, part = pending.place, bench.part(pending.place)
        head, fit_s = bench.tool(HeadTrainer).trained(place)
        features, data = bench.features.matrix(part), bench.data(place)
        row = evaluate_head(
            head, features, part.best_labels, name=str(place.head), seed=place.seed,
            set_name=part.name, domain=place.evaluated.domain, class_names=part.dataset.class_names,
        )  # fmt: skip
        card = None
        if self.grid.recipe.has_head_spectra:
            is_reshaped = isinstance(head, AbstractReshapingHead)
            card = spectrum(head.transform(features) if is_reshaped else features)
        return pending.row(
            HeadRow,
            set_name=part.name,
            domain=place.evaluated.domain,
            realised_rate=data.realised_rate,
            num_train=len(data.rows),
            num_examples=row.num_examples,
            metrics=row.metrics,
            entropy_nats=None if card is None else card.entropy_nats,
            largest_ratio=None if card is None else card.largest_ratio,
            fit_s=fit_s,
        )


def training_request(grid: Grid, place: Place, options: dict[str, Any]) -> str:
    """Request key of a trained head or encoder on one set.

    Args:
        grid: of the study.
        place: of the row.
        options: of the head or tuning, without those that keep their defaults.
    """
    content = {
        "schema": SCHEMA,
        **place.coordinates(),
        "noise": None if place.noise is None else place.noise.to_json(),
        "set": grid.set_request(place),
        "options": options,
        "has_spectrum": grid.recipe.has_head_spectra,
        **grid.data_request(place.task),
    }
    return digest(content)[:32]


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
