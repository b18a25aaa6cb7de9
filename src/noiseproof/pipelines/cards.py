"""The reproducibility card of a finished flow: one builder, one reader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from noiseproof.core.documents import Document, read_document
from noiseproof.core.errors import MissingFile
from noiseproof.core.records import Dataset
from noiseproof.core.version import __version__
from noiseproof.evaluate.results import ResultRow

Kind = Literal["run", "detect", "finetune", "deft", "pretrain", "study"]
TRAINING_CARD = "card.json"  # of every flow that trains an encoder


class Card(Document):
    """Fields of every card; each kind adds sections of its own.

    Attributes:
        kind: of the flow.
        noiseproof: version that made the results.
        command: as the user started it.
        created: when the results were made, ISO 8601.
        config: resolved configuration.
        versions: of Python packages.
        hardware: CPU, cores, memory, GPU, operating system.
        wall_s: seconds by stage.
        notes: sentences a reader of the results has to know.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    SCHEMA: ClassVar[int] = 2
    kind: Kind
    noiseproof: str
    command: str
    created: str
    config: dict[str, Any]
    versions: dict[str, str]
    hardware: dict[str, Any]
    wall_s: dict[str, float]
    notes: list[str]


def make_card(
    kind: Kind,
    *,
    config: BaseModel,
    made_with: Mapping[str, Any],
    wall_s: Mapping[str, float],
    notes: Iterable[str],
    **sections: Any,
) -> dict[str, Any]:
    """The contents of a card.

    Args:
        kind: of the flow.
        config: resolved configuration.
        made_with: of `provenance.made_with`, by the start that made the results.
        wall_s: seconds by stage.
        notes: sentences for the reader.
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
    )
    return head.to_json() | sections


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


def data_section(dataset: Dataset) -> dict[str, Any]:
    """A data set on the card of a training."""
    return {
        "name": dataset.name,
        "num_examples": len(dataset),
        "fingerprint": dataset.fingerprint,
        "class_names": list(dataset.class_names[:1000]),
    }


def results_section(rows: Iterable[ResultRow]) -> dict[str, dict[str, float]]:
    """Accuracy by head and evaluation set."""
    results: dict[str, dict[str, float]] = {}
    for row in rows:
        results.setdefault(row.head, {})[row.set_name] = row.metrics["accuracy"]
    return results
