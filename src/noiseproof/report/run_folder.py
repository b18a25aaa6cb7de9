"""The run folder, read once and checked for a report; a missing or damaged file is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, TypeAdapter, ValidationError

from noiseproof.core.errors import DamagedFile, MissingFile
from noiseproof.core.records import SpectrumCard
from noiseproof.core.storage.checksums import check_file, read_record
from noiseproof.core.storage.documents import Document, describe_problem, read_document, validate_document
from noiseproof.core.storage.inner_paths import InnerPath, inner_path
from noiseproof.core.storage.parquet import read_table
from noiseproof.evaluate.results import ResultRow, read_results
from noiseproof.report.flow_card import Card

if TYPE_CHECKING:
    import pandas as pd

NUM_SUSPECTS = 48
NUM_NEAR_MISSES = 8  # of the page, beside those that are flagged
T = TypeVar("T")
_SPECTRUM_SCHEMA = 1  # of an entry of spectrum.json
_RUN_AGAIN = "delete it and start the run again with the same --out"
_THUMBNAILS = "thumbnails.json"
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

    `labels` says what it is evaluated against: "true", "given", "before cleaning" or "before
    decisions".
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
    """Share of wrong labels and its plausible range, `None` if the detector has none.

    The basis is the detector, or a sample that people checked; then `replaces` has the detector's estimate.
    """

    rate: float
    low: float | None
    high: float | None
    num_examples: int
    basis: str = "detector"
    replaces: dict[str, float | None] | None = None


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
    reviewed: dict[str, Any] | None = None  # what labels that people decided tell of the others
    cleaning_effect: dict[str, Any] | None = None  # see `pipelines.reviewed.cleaning_effect.CleaningEffect`
    detection_notes: tuple[str, ...] = ()
    task: Literal["classification", "regression"] = "classification"
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


class _SpectrumEntry(BaseModel):
    """A `SpectrumCard` in `spectrum.json`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    num_examples: int = Field(ge=1)
    dim: int = Field(ge=1)
    singular_values: list[NonNegativeFloat] = Field(min_length=1)
    entropy_nats: float
    largest_ratio: float
    effective_rank: float
    is_centred: bool

    def card(self) -> SpectrumCard:
        """The record that tables and figures take."""
        return SpectrumCard(
            **self.model_dump() | {"singular_values": np.array(self.singular_values, np.float64)}
        )


class _SpectraEntry(Document):
    """An entry of `spectrum.json`, see `SetSpectra`."""

    SCHEMA: ClassVar[int] = _SPECTRUM_SCHEMA
    set: str
    role: str
    raw: _SpectrumEntry
    centred: _SpectrumEntry


@dataclass(frozen=True, eq=False)
class RunFolder:
    """Everything a report is made from.

    Attributes:
        path: of the folder.
        card: `run.json`.
        results: `results.jsonl`.
        spectra: `spectrum.json`.
        issues: `label_issues.parquet`, most suspicious first; without rows where heads predict scores.
        suspects: the first `NUM_SUSPECTS`, with their thumbnails or texts where the run left any.
        pictured: those, and further ones of frequent pairs of classes, with their thumbnails or texts.
    """

    path: Path
    card: RunCard
    results: list[ResultRow]
    spectra: list[SetSpectra]
    issues: pd.DataFrame
    suspects: list[Suspect]
    pictured: list[Suspect]


def load_run(run_dir: str | Path) -> RunFolder:
    """Read a run folder.

    Raises:
        MissingFile: the folder, or a file of every run, does not exist.
        DamagedFile: a file is not what a run writes.
    """
    path = Path(run_dir)
    if not path.is_dir():
        raise MissingFile(f"No run folder at {str(path)!r}. Next: start `noiseproof run` with --out {path}.")
    card = _checked(path, "run.json", _card, {})
    issues = _no_issues()
    if card.task == "classification":
        issues = _checked(path, "label_issues.parquet", _issues, card.files)
    pictured = _pictured(path, issues, card.files)
    num_shown = min(NUM_SUSPECTS, int(issues["is_issue"].sum()) + NUM_NEAR_MISSES)
    return RunFolder(
        path=path,
        card=card,
        results=_checked(path, "results.jsonl", _results, card.files),
        spectra=_checked(path, "spectrum.json", _spectra, card.files),
        issues=issues,
        suspects=pictured[:num_shown],
        pictured=pictured,
    )


def _checked(folder: Path, name: str, read: Callable[[Path], T], hashes: Mapping[str, str]) -> T:
    """A file of the folder, after it was compared with its SHA-256 on the card."""
    file = folder / name
    if not file.is_file():
        raise MissingFile(
            f"The run folder {str(folder)!r} has no {name!r}. Next: start the run again with "
            "the same --out; it goes on where it stopped."
        )
    check_file(file, hashes.get(name), next_step=_RUN_AGAIN)
    try:
        return read(file)
    except DamagedFile:
        raise
    except (ValidationError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        raise DamagedFile(
            f"{str(file)!r} is not what a run writes: {describe_problem(error)}. Next: {_RUN_AGAIN}."
        ) from error


def _card(file: Path) -> RunCard:
    return read_document(file, RunCard, next_step=_RUN_AGAIN)


def _results(file: Path) -> list[ResultRow]:
    rows = read_results(file)
    if not rows:
        raise ValueError("it has no row")
    if not any(row.domain == "id" for row in rows):
        raise ValueError("it has no row of the test set (domain id)")
    return rows


def _spectra(file: Path) -> list[SetSpectra]:
    entries = read_record(file, next_step=_RUN_AGAIN)
    if not isinstance(entries, list):
        raise ValueError("it holds no list of spectra")
    found = [
        validate_document(entry, _SpectraEntry, source=str(file), next_step=_RUN_AGAIN) for entry in entries
    ]
    return [SetSpectra(each.set, each.role, each.raw.card(), each.centred.card()) for each in found]


def _issues(file: Path) -> pd.DataFrame:
    frame = read_table(file).to_pandas()
    missing = [column for column in _ISSUE_COLUMNS if column not in frame]
    if missing:
        raise ValueError(f"the columns {missing} are missing")
    return frame.sort_values("suspicion", ascending=False, kind="stable", ignore_index=True)


def _no_issues() -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(columns=list(_ISSUE_COLUMNS))


def _pictured(path: Path, issues: pd.DataFrame, hashes: Mapping[str, str]) -> list[Suspect]:
    if issues.empty:
        return []
    if not (path / _THUMBNAILS).exists() and _THUMBNAILS not in hashes:
        rows = issues.head(NUM_SUSPECTS)[list(_ISSUE_COLUMNS)].astype({"example_id": str})
        return [Suspect.model_validate(row) for row in rows.to_dict("records")]
    suspects = _checked(path, _THUMBNAILS, _listed, hashes)
    return [_with_image(path, suspect, hashes) for suspect in suspects]


def _listed(file: Path) -> list[Suspect]:
    return TypeAdapter(list[Suspect]).validate_python(read_record(file, next_step=_RUN_AGAIN))


def _with_image(folder: Path, suspect: Suspect, hashes: Mapping[str, str]) -> Suspect:
    if suspect.file is None:
        return suspect
    inner_path(folder, suspect.file)
    return suspect.model_copy(update={"image": _checked(folder, suspect.file, _png, hashes)})


def _png(file: Path) -> bytes:
    content = file.read_bytes()
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError("it is no PNG image")
    return content
