"""Parts of a recipe that several of its keys or other files know: a detector, noise by a word."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class DetectorChoice(BaseModel):
    """One detector of the grid.

    Attributes:
        method: as in `find_label_issues`, or a peer of `study.peers`; by default the name it goes by.
        options: of the method.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    options: dict[str, Any] = Field(default={})


def corruptions(value: Any) -> Any:
    """Noises as a recipe may write them, each as `CorruptConfig` takes it."""
    return tuple(_corruption(each) for each in value) if isinstance(value, list | tuple) else value


def _corruption(value: Any) -> Any:
    """`kind:rate`, "none" or the parts of a `CorruptConfig`."""
    if value in ("none", None, 0, "0"):
        return None
    if isinstance(value, str) and ":" in value:
        kind, _, rate = value.rpartition(":")
        return {"kind": kind, "rate": rate}
    return {"rate": value} if isinstance(value, str | float | int) else value
