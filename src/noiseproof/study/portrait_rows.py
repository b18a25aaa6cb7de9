"""Rows of a study for its portraits: where examples lie in the plane, how curved the loss of a head is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from noiseproof.diagnose.curvature import Curvature
from noiseproof.diagnose.maps import FeatureMap


@dataclass(frozen=True)
class MapRow:
    """Examples of one set as points in the plane, as one encoder sees them.

    Attributes:
        cell: address of the content.
        asked: what the recipe says about it.
        backbone, layer, task, noise_kind, noise_rate: which encoder, and which labels.
        set_name: of the set.
        num_examples: n of the set.
        class_names: of the class ids.
        rows: which m of its examples are shown, ascending.
        given: their class ids, may be wrong.
        clean: the true ones, where they are known.
        linear: m pairs, their first two principal components.
        explained: share of the variance each of those two has, in [0, 1].
        neighbours: m pairs, their places by t-SNE.
    """

    cell: str
    asked: str
    backbone: str
    layer: str | None
    task: str
    noise_kind: str | None
    noise_rate: float
    set_name: str
    num_examples: int
    class_names: list[str]
    rows: list[int]
    given: list[int]
    clean: list[int] | None
    linear: list[list[float]]
    explained: list[float]
    neighbours: list[list[float]]

    @property
    def map(self) -> FeatureMap:
        """As it is drawn."""
        return FeatureMap(
            np.array(self.rows), np.array(self.linear), np.array(self.explained), np.array(self.neighbours)
        )

    def to_json(self) -> dict[str, Any]:
        """As a line holds it."""
        values = asdict(self)
        return {"row": "map", "set": values.pop("set_name"), **values}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> MapRow:
        """The row that `to_json` gave."""
        return cls(set_name=values.pop("set"), **values)


@dataclass(frozen=True)
class CurvatureRow:
    """Curvature of the loss of one trained head on what it learned from.

    Attributes:
        cell, asked: as in `MapRow`.
        backbone, layer, task, share, noise_kind, noise_rate, head, setting, seed: place in the grid.
        realised_rate: of the injected noise, in [0, 1].
        num_train: examples the loss is the mean of.
        eigenvalues: the largest of the Hessian, descending; nats per squared unit of the parameters.
        trace: estimate of the sum of all.
        trace_standard_error: of that estimate, over probes.
        num_parameters: p of the head.
    """

    cell: str
    asked: str
    backbone: str
    layer: str | None
    task: str
    share: float
    noise_kind: str | None
    noise_rate: float
    head: str
    setting: str
    seed: int
    realised_rate: float
    num_train: int
    eigenvalues: list[float]
    trace: float
    trace_standard_error: float
    num_parameters: int

    @property
    def curvature(self) -> Curvature:
        """As it is drawn."""
        return Curvature(
            np.array(self.eigenvalues), self.trace, self.trace_standard_error, self.num_parameters
        )

    def to_json(self) -> dict[str, Any]:
        """As a line holds it."""
        return {"row": "curvature", **asdict(self)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> CurvatureRow:
        """The row that `to_json` gave."""
        return cls(**values)
