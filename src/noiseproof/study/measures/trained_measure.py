"""What heads and tunings share as measures: something is trained, and evaluated on every set of its task."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from noiseproof.evaluate.results import ResultRow
from noiseproof.study.grid import Place
from noiseproof.study.measures.measure import AbstractMeasure, RowRequest, Workbench
from noiseproof.study.rows import HeadRow


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
