"""The run folder, read once and checked for a report; a missing or damaged file is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from noiseproof.core.documents import check_schema, describe_problem
from noiseproof.core.errors import DamagedFile, MissingFile
from noiseproof.core.inner_paths import InnerPath, inner_path
from noiseproof.core.records import SpectrumCard
from noiseproof.evaluate.results import ResultRow, read_results
from noiseproof.report.flow_card import Card

if TYPE_CHECKING:
    import pandas as pd

NUM_SUSPECTS = 48
NUM_NEAR_MISSES = 8  # of the page, beside those that are flagged
T = TypeVar("T")
_SPECTRUM_SCHEMA = 1  # of an entry of spectrum.json
_RUN_AGAIN = "delete it and start the run again with the same --out"
_ISSUE_COLUMNS = ("example_id", "given_label", "suggested_label", "suspicion", "is_issue")


class LabelNoise(BaseModel):
    """Noise that was injected into the training labels; rates in [0, 1]."""

    kind: str
    asked_rate: float
    realised_rate: float
    seed: int


class SkippedExample(BaseModel):
    """An example that was left out."""

    example_id: str
    reason: str


class DataCard(BaseModel):
    """One data set of the run; `role` is "train", "test" or "ood".

    `labels` says what it is evaluated against: "true", "given" or "before cleaning".
    """

    set_name: str = Field(alias="set")
    role: str
    num_examples: int
    num_classes: int
    num_skipped: int
    skipped: list[SkippedExample] = []
    fingerprint: str
    class_names: list[str]
    labels: str | None = None
    label_noise: LabelNoise | None = None


class BackboneCard(BaseModel):
    """The frozen encoder, and how it was run."""

    name: str
    dim: int
    layer: str | None
    weights_hash: str
    transform: str
    engine: str
    features_agree_within: float | None
    precision: str
    dtype: str


class NoiseRateCard(BaseModel):
    """Estimated share of wrong labels and its plausible range, `None` if the detector has none."""

    rate: float
    low: float | None
    high: float | None
    num_examples: int


class DetectionCard(BaseModel):
    """The detector against the truth; `None` where a number is not defined."""

    precision: float | None
    recall: float | None
    f1: float | None
    auroc: float | None
    average_precision: float | None
    num_flagged: int
    num_wrong: int


class RunCard(Card):
    """The card of a run, `run.json`."""

    data: list[DataCard]
    backbone: BackboneCard
    seeds: list[int]
    encoder_passes: int
    detection: DetectionCard | None = None
    noise_rate: NoiseRateCard | None = None
    detection_notes: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()  # of options that follow the data, with the reasons

    @property
    def train(self) -> DataCard | None:
        """The set the heads learn from."""
        return next((card for card in self.data if card.role == "train"), None)


class Suspect(BaseModel):
    """One of the most suspicious examples; `text` where the data is text, `image` where it is images."""

    example_id: str | int
    given_label: str | int
    suggested_label: str | int
    suspicion: float
    is_issue: bool
    file: InnerPath | None = None
    text: str | None = None
    image: bytes | None = None


@dataclass(frozen=True, eq=False)
class SetSpectra:
    """Spectra of one data set, as it is and with the mean taken off; an entry of `spectrum.json`."""

    set_name: str
    role: str
    raw: SpectrumCard
    centred: SpectrumCard

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `spectrum.json`."""
        return {
            "schema": _SPECTRUM_SCHEMA, "set": self.set_name, "role": self.role, "raw": self.raw.to_json(),
            "centred": self.centred.to_json(),
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class RunFolder:
    """Everything a report is made from.

    Attributes:
        path: of the folder.
        card: `run.json`.
        results: `results.jsonl`.
        spectra: `spectrum.json`.
        issues: `label_issues.parquet`, most suspicious first.
        suspects: the first `NUM_SUSPECTS`, with their thumbnails or texts where the run left any.
    """

    path: Path
    card: RunCard
    results: list[ResultRow]
    spectra: list[SetSpectra]
    issues: pd.DataFrame
    suspects: list[Suspect]


def load_run(run_dir: str | Path) -> RunFolder:
    """Read a run folder.

    Raises:
        MissingFile: the folder, or a file of every run, does not exist.
        DamagedFile: a file is not what a run writes.
    """
    path = Path(run_dir)
    if not path.is_dir():
        raise MissingFile(f"No run folder at {str(path)!r}. Next: start `noiseproof run` with --out {path}.")
    issues = _checked(path / "label_issues.parquet", _issues)
    return RunFolder(
        path=path,
        card=_checked(path / "run.json", _card),
        results=_checked(path / "results.jsonl", _results),
        spectra=_checked(path / "spectrum.json", _spectra),
        issues=issues,
        suspects=_suspects(path, issues),
    )


def _checked(file: Path, read: Callable[[Path], T]) -> T:
    if not file.is_file():
        raise MissingFile(
            f"The run folder {str(file.parent)!r} has no {file.name!r}. Next: start the run again with "
            "the same --out; it goes on where it stopped."
        )
    try:
        return read(file)
    except DamagedFile:
        raise
    except (ValidationError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        raise DamagedFile(
            f"{str(file)!r} is not what a run writes: {describe_problem(error)}. Next: {_RUN_AGAIN}."
        ) from error


def _card(file: Path) -> RunCard:
    card = json.loads(file.read_bytes())
    check_schema(card, RunCard.SCHEMA, source=str(file), next_step=_RUN_AGAIN)
    return RunCard.model_validate(card)


def _results(file: Path) -> list[ResultRow]:
    rows = read_results(file)
    if not rows:
        raise ValueError("it has no row")
    return rows


def _spectra(file: Path) -> list[SetSpectra]:
    entries = json.loads(file.read_bytes())
    for entry in entries:
        check_schema(entry, _SPECTRUM_SCHEMA, source=str(file), next_step=_RUN_AGAIN)
    return [
        SetSpectra(entry["set"], entry["role"], _spectrum(entry["raw"]), _spectrum(entry["centred"]))
        for entry in entries
    ]


def _spectrum(entry: dict[str, Any]) -> SpectrumCard:
    return SpectrumCard(**entry | {"singular_values": np.asarray(entry["singular_values"], np.float64)})


def _issues(file: Path) -> pd.DataFrame:
    import pandas as pd

    frame = pd.read_parquet(file)
    missing = [column for column in _ISSUE_COLUMNS if column not in frame]
    if missing:
        raise ValueError(f"the columns {missing} are missing")
    return frame.sort_values("suspicion", ascending=False, kind="stable", ignore_index=True)


def _suspects(path: Path, issues: pd.DataFrame) -> list[Suspect]:
    listing = path / "thumbnails.json"
    if not listing.exists():
        rows = issues.head(NUM_SUSPECTS)[list(_ISSUE_COLUMNS)].astype({"example_id": str})
        return [Suspect.model_validate(row) for row in rows.to_dict("records")]
    suspects = _checked(listing, lambda file: TypeAdapter(list[Suspect]).validate_json(file.read_bytes()))
    num_shown = min(NUM_SUSPECTS, int(issues["is_issue"].sum()) + NUM_NEAR_MISSES)
    return [_with_image(path, suspect) for suspect in suspects[:num_shown]]


def _with_image(folder: Path, suspect: Suspect) -> Suspect:
    if suspect.file is None:
        return suspect
    return suspect.model_copy(update={"image": _checked(inner_path(folder, suspect.file), _png)})


def _png(file: Path) -> bytes:
    content = file.read_bytes()
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError("it is no PNG image")
    return content
