"""Rows of a study for its detectors: how well one found the wrong labels of a training set."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from noiseproof.evaluate.detection import DetectionMetrics


@dataclass(frozen=True)
class DetectionRow:
    """One detector on the features and given labels of one training set.

    Attributes:
        cell: address of the content.
        asked: what the recipe says about it.
        backbone, layer, task, share, noise_kind, noise_rate, detector, seed: place in the grid.
        method: that was used; of "auto" the one it chose.
        num_examples: n of the training set.
        realised_rate: share of labels that are wrong, injected or as they came.
        metrics: over the whole training set.
        wall_s: of the detector alone, with the features in memory.
        cpu_s: of all its threads; other work on the machine adds little to it.
        notes: what the detector says of its result.
        accuracy_all, accuracy_selected, accuracy_relabelled: of a linear probe on the test set, in [0, 1]:
            trained on all labels as given, on those not flagged, and with the suggested label on the
            flagged. `None` where the recipe does not ask, or fewer than two classes are left.
    """

    cell: str
    asked: str
    backbone: str
    layer: str | None
    task: str
    share: float
    noise_kind: str | None
    noise_rate: float
    detector: str
    seed: int
    method: str
    num_examples: int
    realised_rate: float
    metrics: DetectionMetrics
    wall_s: float
    cpu_s: float
    notes: list[str]
    accuracy_all: float | None = None
    accuracy_selected: float | None = None
    accuracy_relabelled: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As a line holds it: the metrics stand beside the rest."""
        values = asdict(self)
        metrics = values.pop("metrics")
        return {"row": "detection", **values, **metrics}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> DetectionRow:
        """The row that `to_json` gave."""
        metrics = DetectionMetrics(**{one.name: values.pop(one.name) for one in fields(DetectionMetrics)})
        return cls(metrics=metrics, **values)
