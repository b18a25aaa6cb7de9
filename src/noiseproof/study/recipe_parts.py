"""Parts of a recipe that several of its keys or other files know: a detector, noise by a word."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from noiseproof.core.errors import invalid
from noiseproof.noise.spec import Noise


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
    """Noises as a recipe may write them, each as `Noise` takes it."""
    return tuple(_corruption(each) for each in value) if isinstance(value, list | tuple) else value


def _corruption(value: Any) -> Any:
    """A `Noise` with a rate, which tables are sorted by, or `None` for "none"."""
    if value in ("none", None):
        return None
    noise = Noise.parse(value) if isinstance(value, str) else value
    if isinstance(noise, Noise) and noise.rate is None:
        raise invalid("label_noise", str(noise), "noise with a rate in a study", "Next: kind:rate.")
    return noise
