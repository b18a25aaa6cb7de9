"""Spectra: singular values of the features of every evaluation set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from noiseproof.diagnose.spectrum import spectra
from noiseproof.study.grid import Place
from noiseproof.study.measures.measure import AbstractMeasure, RowRequest, Workbench
from noiseproof.study.rows import SPECTRAL, SpectrumRow


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
