"""The rows of a study on disk, one line of JSON each: `study.jsonl`, appended and never rewritten.

Each line has a checksum of its own (`core.storage.checksums`).

A row has two hashes. `request_key` (on disk: `asked`) covers the recipe's entries that decide it, so that
tables can be made without the data. `result_key` (on disk: `cell`) also covers everything else that decides
the numbers (data, weights, drawn labels, resolved options), so a row with the right key is never computed
again. Where data or weights changed, the last row of a request counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter

from noiseproof.core.storage.checksums import damaged, read_lines, to_line
from noiseproof.core.storage.documents import check_schema, describe_problem
from noiseproof.core.storage.files import append_lines, whole_lines
from noiseproof.core.storage.inner_paths import inner_path
from noiseproof.evaluate.detection import DetectionMetrics
from noiseproof.evaluate.results import metric_names

RESULTS = "study.jsonl"
_SCHEMA = 1  # of a line
_DELETE_LINE = "delete that line and start the study again; only what it held is computed anew"
SPECTRAL = ("singular_values", "entropy_nats", "largest_ratio", "effective_rank")  # raw and "centred_"
_ON_DISK = {"result_key": "cell", "request_key": "asked", "set_name": "set"}
_IN_CODE = {on_disk: name for name, on_disk in _ON_DISK.items()}
_adapter: Any = cache(TypeAdapter)


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """The part that all rows share.

    Attributes:
        result_key: hash of everything that decides the row.
        request_key: hash of the recipe's entries that decide it.
        backbone, layer, task: encoder and data set.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)
    kind: ClassVar[str]

    result_key: str
    request_key: str
    backbone: str
    layer: str | None
    task: str

    @classmethod
    def columns(cls) -> list[str]:
        """Names of the values in a line; `metrics` stand beside the others there."""
        return [_ON_DISK.get(one.name, one.name) for one in fields(cls)]

    def to_json(self) -> dict[str, Any]:
        """The row as a line holds it."""
        values = dict(zip(self.columns(), asdict(self).values(), strict=True))
        metrics = values.pop("metrics", {})
        return {"schema": _SCHEMA, "row": self.kind, **values, **metrics}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> StudyRow:
        """The row that `to_json` wrote."""
        own = {_IN_CODE.get(name, name): one for name, one in values.items() if name not in ("row", "schema")}
        if cls is HeadRow:
            own["metrics"] = {name: own.pop(name) for name in metric_names(own)}
        return _adapter(cls).validate_python(own)


@dataclass(frozen=True, kw_only=True)
class NoisyRow(StudyRow):
    """A row about labels into which noise may have been injected.

    Attributes:
        noise_kind, noise_rate: of the labels; `None` and 0 without noise.
    """

    noise_kind: str | None
    noise_rate: float

    @property
    def noise(self) -> str:
        """Noise as "kind:rate" or "none"."""
        return "none" if self.noise_kind is None else f"{self.noise_kind}:{self.noise_rate:g}"


@dataclass(frozen=True, kw_only=True)
class TrainedRow(NoisyRow):
    """A row about a head or tuned encoder that was trained once.

    Attributes:
        share, head, setting, seed: rest of its place in the grid.
        realised_rate: of the injected noise, in [0, 1].
        num_train: examples it learned from.
    """

    share: float
    head: str
    setting: str
    seed: int
    realised_rate: float
    num_train: int


@dataclass(frozen=True, kw_only=True)
class HeadRow(TrainedRow):
    """One head or tuned encoder on one evaluation set.

    Attributes:
        set_name: of the evaluation set.
        domain: "id" or "ood".
        num_examples: n of the evaluation set.
        metrics: the same names as in `results.jsonl`.
        entropy_nats: SVE of the features as the head reshapes them; `None` where it is not requested.
        largest_ratio: LSVR of them.
        fit_s: wall time of the training, its part where heads were trained together.
    """

    kind = "cell"
    set_name: str
    domain: str
    num_examples: int
    metrics: dict[str, float]
    entropy_nats: float | None = None
    largest_ratio: float | None = None
    fit_s: float


@dataclass(frozen=True, kw_only=True)
class SpectrumRow(StudyRow):
    """The spectrum of the features of one evaluation set, as the encoder gives them.

    Attributes:
        set_name, domain: the set.
        num_examples: n.
        singular_values: raw, descending.
        centred_singular_values: with the mean row subtracted.
        entropy_nats, largest_ratio, effective_rank: of the raw ones.
        centred_entropy_nats, centred_largest_ratio, centred_effective_rank: of the centred ones.
        encode_s: key of the features of a whole data set -> seconds the encoder took for it, `None` where
            they were in the store already. It covers the data set that this set is (a part) of, and with
            the in-domain set also the training set.
    """

    kind = "spectrum"
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


@dataclass(frozen=True, kw_only=True)
class DetectionRow(NoisyRow, DetectionMetrics):
    """One detector on the features and given labels of one training set, with its metrics over all of it.

    Attributes:
        share, detector, seed: rest of its place in the grid.
        method: the one used; for "auto" the one it chose.
        num_examples: n of the training set.
        realised_rate: share of labels that are wrong, injected or as they came.
        wall_s: of the detector alone, with the features in memory.
        cpu_s: of all its threads; other work on the machine adds little to it.
        notes: the detector's remarks on its result.
        accuracy_all, accuracy_selected, accuracy_relabelled: of a linear probe on the test set, in [0, 1]:
            trained on all labels as given, on those not flagged, and with the suggested label on the
            flagged. `None` where the recipe does not request it, or fewer than two classes are left.
    """

    kind = "detection"
    share: float
    detector: str
    seed: int
    method: str
    num_examples: int
    realised_rate: float
    wall_s: float
    cpu_s: float
    notes: list[str]
    accuracy_all: float | None = None
    accuracy_selected: float | None = None
    accuracy_relabelled: float | None = None


@dataclass(frozen=True, kw_only=True)
class MapRow(NoisyRow):
    """Examples of one set as points in the plane, from the features of one encoder.

    Attributes:
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

    kind = "map"
    set_name: str
    num_examples: int
    class_names: list[str]
    rows: list[int]
    given: list[int]
    clean: list[int] | None
    linear: list[list[float]]
    explained: list[float]
    neighbours: list[list[float]]


@dataclass(frozen=True, kw_only=True)
class CurvatureRow(TrainedRow):
    """Curvature of the loss of one trained head on the examples it learned from.

    Attributes:
        eigenvalues: the largest of the Hessian, descending; nats per squared unit of the parameters.
        trace: estimate of the sum of all.
        trace_standard_error: of that estimate, over probes.
        num_parameters: p of the head.
    """

    kind = "curvature"
    eigenvalues: list[float]
    trace: float
    trace_standard_error: float
    num_parameters: int


_KINDS: dict[str, type[StudyRow]] = {
    one.kind: one for one in (HeadRow, SpectrumRow, MapRow, CurvatureRow, DetectionRow)
}


class StudyLog:
    """The rows in the folder of a study; opened again, it knows those that exist."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = inner_path(folder, RESULTS)
        self.path.touch()
        self._by_result: dict[str, StudyRow] = {}
        self._by_request: dict[str, StudyRow] = {}
        for row in read_rows(self.path):
            self._note(row)
        os.truncate(self.path, len(whole_lines(self.path)))  # what a kill cut off

    @property
    def rows(self) -> list[StudyRow]:
        """The row that counts for each request ever made."""
        return list(self._by_request.values())

    def has(self, result_key: str) -> bool:
        """Whether a row exists; where data changed back, the old row counts again."""
        row = self._by_result.get(result_key)
        if row is not None and self._by_request[row.request_key].result_key != result_key:
            self.append([row])
        return row is not None

    def has_request(self, request_key: str) -> bool:
        """Whether a request has a result, of whatever data."""
        return request_key in self._by_request

    def append(self, rows: Sequence[StudyRow]) -> None:
        """Write rows to disk, all in one."""
        append_lines(self.path, (to_line(row.to_json()) for row in rows))
        for row in rows:
            self._note(row)

    def _note(self, row: StudyRow) -> None:
        self._by_result[row.result_key] = row
        self._by_request[row.request_key] = row


def read_rows(path: str | os.PathLike[str]) -> list[StudyRow]:
    """All whole rows, in the order they were written; none where the file does not exist.

    Raises:
        DamagedFile: a line is not a row, though no kill cut it off; its number is given.
    """
    file = Path(path)
    if not file.is_file():
        return []
    rows: list[StudyRow] = []
    for number, values in enumerate(read_lines(file, next_step=_DELETE_LINE), start=1):
        source = f"line {number} of {file}"
        check_schema(values, _SCHEMA, source=source, next_step=_DELETE_LINE)
        try:
            rows.append(_KINDS[values["row"]].from_json(_upgraded(values)))
        except (ValueError, KeyError, TypeError) as error:
            problem = f"it is not a row of a study: {describe_problem(error)}"
            raise damaged(source, problem, _DELETE_LINE) from error
    return rows


def _upgraded(values: dict[str, Any]) -> dict[str, Any]:
    """A line as today's version writes it; spectra of the first version had other fields."""
    values.pop("pretraining_accuracy", None)  # it is a fact about the encoder
    num_encoded = values.pop("num_encoded", None)
    if num_encoded is not None:  # it summed over data sets: equal sums are of the same ones
        key = f"{values['backbone']} {num_encoded} {values['encode_s']}"
        values["encode_s"] = {key: values["encode_s"]}
    return values


def requested_rows(rows: Iterable[StudyRow], request_keys: Iterable[str]) -> list[StudyRow]:
    """The last row of each request, in the order of the requests; those without a row are left out."""
    last = {row.request_key: row for row in rows}
    return [last[key] for key in dict.fromkeys(request_keys) if key in last]
