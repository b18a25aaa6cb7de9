"""What DeFT is told: which data, which image-text model, how, and what comes after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from noiseproof.adapt.deft_settings import DeftSettings
from noiseproof.adapt.settings import FinetuneSettings
from noiseproof.backbones.text_towers import USUAL_MODEL
from noiseproof.errors import invalid
from noiseproof.finetuning.adapt_job import AdaptJob, given_settings
from noiseproof.finetuning.job import FinetuneJob
from noiseproof.option_values import checked

PHASES_TWO = ("none", "heads", "full")


@dataclass(frozen=True, kw_only=True)
class DeftJob(AdaptJob):
    """One detection with prompts, and one adaptation to what was selected; class names have to be words.

    Attributes:
        model: image-text model: open_clip:ARCH/TAG, or a bundled one.
        settings: of phase 1.
        phase2: what is trained on the selected examples: "none", "heads" on features, or "full" fine-tuning.
        phase2_backbone: encoder of phase 2; by default the image tower of `model`, which "full" cannot train.
        phase2_settings: of "full".
    """

    model: str = USUAL_MODEL
    settings: DeftSettings = field(default_factory=DeftSettings)
    phase2: str = "none"
    phase2_backbone: str | None = None
    phase2_settings: FinetuneSettings = field(default_factory=FinetuneSettings)
    command: str = "noiseproof.deft(...)"

    def __post_init__(self) -> None:
        if self.phase2 not in PHASES_TWO:
            raise invalid("phase2", self.phase2, ", ".join(PHASES_TWO))
        if self.phase2 == "full" and self.phase2_backbone is None:
            raise invalid(
                "phase2_backbone", None, "timm:NAME, timm:NAME@FILE, zoo:NAME or bundled:NAME if phase2=full",
                "Next: name an encoder to train, or take phase2=heads.",
            )  # fmt: skip

    def finetuning(self, out: Path | str) -> FinetuneJob:
        """Of phase 2, and of the same data."""
        values = {one.name: getattr(self, one.name) for one in fields(AdaptJob)} | {"out": out}
        return FinetuneJob(
            backbone=self.phase2_backbone or self.model, settings=self.phase2_settings, **values
        )


def resolve_deft_settings(
    overrides: Iterable[str] = (), options: Mapping[str, Any] | None = None
) -> DeftSettings:
    """Settings from `--set name=value` and options; those that are `None` were not given.

    Raises:
        InvalidArgument: with one line per mistake.
    """
    mistakes: list[str] = []
    return checked(DeftSettings, given_settings(overrides, options, mistakes), mistakes, file=None)
