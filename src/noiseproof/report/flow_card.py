"""The card of a finished flow, as every kind of flow has it on disk."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from noiseproof.core.storage.documents import Document

Kind = Literal["run", "detect", "apply", "finetune", "deft", "pretrain", "study"]


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
        files: name of a result, relative to the folder -> SHA-256; what reads one compares it.
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
    files: dict[str, str] = Field(default_factory=dict)
