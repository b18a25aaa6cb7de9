"""What a study found, one line of JSON each: `study.jsonl`, appended and never rewritten.

A row has two hashes. `asked` is what the recipe says about it, so that tables can be made without the data.
`cell` is the address of its content: what was asked and everything else that decides the numbers (data,
weights, labels as drawn, options as resolved), so a row with the right address is never computed again.
Where data or weights changed, the last row of an `asked` is the one that counts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from noiseproof.core.errors import DamagedFile
from noiseproof.core.files import append_lines, whole_lines
from noiseproof.core.records import SpectrumCard
from noiseproof.diagnose.curvature import Curvature
from noiseproof.diagnose.maps import FeatureMap
from noiseproof.evaluate.detection import DetectionMetrics
from noiseproof.evaluate.metrics import METRICS

RESULTS = "study.jsonl"


@dataclass(frozen=True)
class Cell:
    """One head, trained once, on one evaluation set.

    Attributes:
        cell: address of the content.
        asked: what the recipe says about it.
        backbone, layer, task, share, noise_kind, noise_rate, head, setting, seed: place in the grid.
        set_name: of the evaluation set.
        domain: "id" or "ood".
        realised_rate: of the injected noise, in [0, 1].
        num_train: examples the head learned from.
        num_examples: n of the evaluation set.
        metrics: the same names as in `results.jsonl`.
        entropy_nats: SVE of the features as the head reshapes them; `None` if not asked for.
        largest_ratio: LSVR of them.
        fit_s: wall time of the training, its part where heads were trained together.
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
    set_name: str
    domain: str
    realised_rate: float
    num_train: int
    num_examples: int
    metrics: dict[str, float]
    entropy_nats: float | None
    largest_ratio: float | None
    fit_s: float

    def to_json(self) -> dict[str, Any]:
        """As a line holds it: the metrics stand beside the rest."""
        values = asdict(self)
        name, metrics = values.pop("set_name"), values.pop("metrics")
        return {"row": "cell", "set": name, **values, **metrics}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Cell:
        """The row that `to_json` gave."""
        metrics = {name: float(values.pop(name)) for name in METRICS}
        return cls(set_name=values.pop("set"), metrics=metrics, **values)


@dataclass(frozen=True)
class Spectrum:
    """The spectrum of the features of one evaluation set, as the encoder gives them.

    Attributes:
        cell, asked: as in `Cell`.
        backbone, layer, task, set_name, domain: which set.
        num_examples: n.
        singular_values: raw, descending.
        centred_singular_values: with the mean row taken off.
        entropy_nats, largest_ratio, effective_rank: of the raw ones.
        centred_entropy_nats, centred_largest_ratio, centred_effective_rank: of the centred ones.
        encode_s: key of the features of a whole data set -> seconds the encoder took for it, `None` where
            they were in the store already. Of the one this set is (a part) of; with the in-domain set also
            of the training set.
    """

    cell: str
    asked: str
    backbone: str
    layer: str | None
    task: str
    set_name: str
    domain: str
    num_examples: int
    singular_values: list[float]
    centred_singular_values: list[float]
    entropy_nats: float
    largest_ratio: float
    effective_rank: float
    centred_entropy_nats: float
    centred_largest_ratio: float
    centred_effective_rank: float
    encode_s: dict[str, float | None]

    def to_json(self) -> dict[str, Any]:
        """As a line holds it."""
        values = asdict(self)
        return {"row": "spectrum", "set": values.pop("set_name"), **values}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Spectrum:
        """The row that `to_json` gave, or that of a first version."""
        values.pop("pretraining_accuracy", None)  # it is a fact about the encoder
        num_encoded = values.pop("num_encoded", None)
        if num_encoded is not None:  # it summed over data sets: equal sums are of the same ones
            of = f"{values['backbone']} {num_encoded} {values['encode_s']}"
            values["encode_s"] = {of: values["encode_s"]}
        return cls(set_name=values.pop("set"), **values)

    def card(self, *, is_centred: bool) -> SpectrumCard:
        """The values as the report's figures take them."""
        import numpy as np

        values = self.centred_singular_values if is_centred else self.singular_values
        return SpectrumCard(
            num_examples=self.num_examples,
            dim=len(values),
            singular_values=np.array(values),
            entropy_nats=self.centred_entropy_nats if is_centred else self.entropy_nats,
            largest_ratio=self.centred_largest_ratio if is_centred else self.largest_ratio,
            effective_rank=self.centred_effective_rank if is_centred else self.effective_rank,
            is_centred=is_centred,
        )


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


Row = Cell | Spectrum | MapRow | CurvatureRow | DetectionRow
_KINDS: dict[str, type[Row]] = {
    "cell": Cell,
    "spectrum": Spectrum,
    "map": MapRow,
    "curvature": CurvatureRow,
    "detection": DetectionRow,
}


class StudyLog:
    """The rows of a study on disk; opened again, it knows what is there.

    Args:
        folder: of the study.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / RESULTS
        self.path.touch()
        self._by_cell: dict[str, Row] = {}
        self._by_asked: dict[str, Row] = {}
        for row in read_rows(self.path):
            self._note(row)
        os.truncate(self.path, len(whole_lines(self.path)))  # what a kill cut off

    @property
    def rows(self) -> list[Row]:
        """The row that counts of each thing that was ever asked."""
        return list(self._by_asked.values())

    def has(self, cell: str) -> bool:
        """Whether a cell need not be computed; where data changed back, its old row counts again."""
        row = self._by_cell.get(cell)
        if row is not None and self._by_asked[row.asked].cell != cell:
            self.append([row])
        return row is not None

    def has_asked(self, asked: str) -> bool:
        """Whether there is a result, of whatever data."""
        return asked in self._by_asked

    def append(self, rows: Sequence[Row]) -> None:
        """Write rows to disk, all in one."""
        append_lines(self.path, (json.dumps(row.to_json(), allow_nan=False) for row in rows))
        for row in rows:
            self._note(row)

    def _note(self, row: Row) -> None:
        self._by_cell[row.cell] = row
        self._by_asked[row.asked] = row


def read_rows(path: str | os.PathLike[str]) -> list[Row]:
    """All whole rows, in the order they were written; none where there is no file.

    Raises:
        DamagedFile: a line that was not cut off by a kill is no row; it is named.
    """
    file = Path(path)
    if not file.is_file():
        return []
    rows: list[Row] = []
    for number, line in enumerate(whole_lines(file).decode(errors="replace").splitlines(), start=1):
        try:
            values = json.loads(line)
            rows.append(_KINDS[values.pop("row")].from_json(values))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedFile(
                f"Line {number} of {str(file)!r} is not a row of a study: {error!r}. Next: delete that line "
                "and start the study again; only what it held is computed anew."
            ) from error
    return rows


def rows_asked(rows: Iterable[Row], asked: Iterable[str]) -> list[Row]:
    """The last row of each thing asked, in the order asked; what is not there is left out."""
    last = {row.asked: row for row in rows}
    return [last[one] for one in dict.fromkeys(asked) if one in last]
