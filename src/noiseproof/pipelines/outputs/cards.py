"""The reproducibility card of a finished flow: one builder, one reader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from noiseproof.backbones.base import EncoderIdentity
from noiseproof.config.data import ExtractionConfig
from noiseproof.core.errors import MissingFile
from noiseproof.core.records import Dataset
from noiseproof.core.storage.checksums import write_record
from noiseproof.core.storage.documents import read_document
from noiseproof.core.version import __version__
from noiseproof.evaluate.results import ResultRow
from noiseproof.export.issue_files import IssueSummary
from noiseproof.features.store import FeatureManifest
from noiseproof.pipelines.outputs.provenance import differences
from noiseproof.pipelines.outputs.stages import Stages
from noiseproof.report.flow_card import Card, Kind

TRAINING_CARD = "card.json"  # of every flow that trains an encoder


def make_card(
    kind: Kind,
    *,
    config: BaseModel,
    made_with: Mapping[str, Any],
    wall_s: Mapping[str, float],
    notes: Iterable[str],
    files: Mapping[str, str],
    **sections: Any,
) -> dict[str, Any]:
    """The contents of a card.

    Args:
        kind: of the flow.
        config: resolved configuration.
        made_with: of `provenance.made_with`, by the start that made the results.
        wall_s: seconds by stage.
        notes: sentences for the reader.
        files: name of each result -> SHA-256.
        sections: further fields of this kind of card, plain values.
    """
    head = Card(
        kind=kind,
        noiseproof=made_with["versions"].get("noiseproof", __version__),
        command=made_with["command"],
        created=made_with["created"],
        config=config.model_dump(mode="json"),
        versions=made_with["versions"],
        hardware=made_with["hardware"],
        wall_s={title: round(seconds, 3) for title, seconds in wall_s.items()},
        notes=list(notes),
        files=dict(sorted(files.items())),
    )
    return head.to_json() | sections


def write_card(
    stages: Stages,
    name: str,
    kind: Kind,
    *,
    config: BaseModel,
    made_by: str,
    notes: Iterable[str],
    **sections: Any,
) -> dict[str, Any]:
    """Write the card of published results into their folder, and return its contents.

    Args:
        stages: of the flow, published.
        name: of the file.
        kind: of the flow.
        config: resolved configuration.
        made_by: title of the stage that made the results, so that a later start changes neither command nor
            versions; stages of other versions are noted.
        notes: sentences for the reader.
        sections: further fields of this kind of card, plain values.
    """
    contents = make_card(
        kind,
        config=config,
        made_with=stages.made_with[made_by],
        wall_s=stages.wall_s,
        notes=[*notes, *differences(stages.made_with, made_by)],
        files=stages.hashes,
        **sections,
    )
    write_record(stages.folder / name, contents)
    return contents


def read_card(path: Path, kind: Kind) -> dict[str, Any]:
    """The card in a file.

    Raises:
        MissingFile: the file does not exist, so the flow has not finished.
        OtherSchema: another version of noiseproof wrote it.
        DamagedFile: it is no card of this kind.
    """
    if not path.is_file():
        raise MissingFile(
            f"{str(path.parent)!r} has no {path.name}, so no {kind} has finished there. Next: repeat its "
            "command."
        )
    card = read_document(path, Card, next_step=f"repeat the {kind} in a new folder")
    if card.kind != kind:
        raise MissingFile(
            f"{str(path)!r} is the card of a {card.kind}; allowed: that of a {kind}. Next: name its folder."
        )
    return card.model_dump(mode="json")


def read_search_card(folder: Path) -> tuple[Kind, dict[str, Any]]:
    """Kind and configuration of the flow whose suspect labels a folder has.

    Raises:
        MissingFile: neither `detect` nor `run` has finished there.
    """
    kinds: dict[str, Kind] = {"detection.json": "detect", "run.json": "run"}
    for name, kind in kinds.items():
        if (folder / name).is_file():
            return kind, read_card(folder / name, kind)["config"]
    raise MissingFile(
        f"{str(folder)!r} has neither detection.json nor run.json, so it is unknown which data its labels "
        "are of. Next: start 'noiseproof detect' or 'noiseproof run' with this --out again."
    )


def data_section(dataset: Dataset) -> dict[str, Any]:
    """A data set on the card of a training."""
    return {
        "name": dataset.name,
        "num_examples": len(dataset),
        "fingerprint": dataset.fingerprint,
        "class_names": list(dataset.class_names[:1000]),
    }


def backbone_section(
    identity: EncoderIdentity, manifest: FeatureManifest, config: ExtractionConfig
) -> dict[str, Any]:
    """The frozen encoder on the card of a run, and how it was run."""
    return {
        "name": identity.name,
        "dim": manifest.dim,
        "layer": identity.layer,
        "weights_hash": identity.weights_hash,
        "transform": identity.transform,
        "engine": manifest.engine,
        "features_agree_within": manifest.features_agree_within,
        "precision": config.precision,
        "dtype": config.dtype,
    }


def suspects_section(summary: IssueSummary | None) -> dict[str, Any]:
    """What a search for wrong labels found; without values where labels are scores."""
    if summary is None:
        return dict.fromkeys(("num_suspect_labels", "noise_rate", "detection", "reviewed"))
    return {
        "num_suspect_labels": summary.num_issues,
        "noise_rate": summary.rate_card(),
        "detection": summary.against_truth,
        "reviewed": summary.reviewed,
    }


def results_section(rows: Iterable[ResultRow]) -> dict[str, dict[str, float]]:
    """Accuracy by head and evaluation set."""
    results: dict[str, dict[str, float]] = {}
    for row in rows:
        results.setdefault(row.head, {})[row.set_name] = row.metrics["accuracy"]
    return results
