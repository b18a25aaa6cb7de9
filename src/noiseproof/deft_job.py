"""What DeFT is told: which data, which image-text model, how, and what comes after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from noiseproof.adapt.deft_settings import DeftSettings
from noiseproof.adapt.settings import FinetuneSettings
from noiseproof.backbones.text_towers import USUAL_MODEL
from noiseproof.config import parse_overrides, set_value
from noiseproof.errors import invalid
from noiseproof.finetune_job import FinetuneJob
from noiseproof.option_values import checked

PHASES_TWO = ("none", "heads", "full")


@dataclass(frozen=True)
class DeftJob:
    """One detection with prompts, and one adaptation to what was selected.

    Attributes:
        train: data set of images whose labels may be wrong; class names have to be words.
        out: folder of prompts, scores, weights, card, results, log, checkpoint and noise manifest.
        model: image-text model: open_clip:ARCH/TAG, or a bundled one.
        test: data set to evaluate on; `None` holds out a part of `train` before anything else.
        ood: evaluation sets of other domains.
        settings: of phase 1.
        phase2: what is trained on the selected examples: "none", "heads" on features, or "full" fine-tuning.
        phase2_backbone: encoder of phase 2; by default the image tower of `model`, which "full" cannot train.
        phase2_settings: of "full".
        label_noise, rate, noise_manifest: noise to inject, as in `FinetuneJob`.
        label, image, clean_label, test_label, limit, shifts, test_fraction: as in `RunConfig`.
        seed: of splits, noise, first vectors, order and augmentation.
        command: what the user typed, for the card.
        quiet: no progress bars.
    """

    train: str
    out: Path | str
    model: str = USUAL_MODEL
    test: str | None = None
    ood: tuple[str, ...] = ()
    settings: DeftSettings = field(default_factory=DeftSettings)
    phase2: str = "none"
    phase2_backbone: str | None = None
    phase2_settings: FinetuneSettings = field(default_factory=FinetuneSettings)
    label_noise: str | None = None
    rate: float | None = None
    noise_manifest: Path | None = None
    label: str | None = None
    image: str | None = None
    clean_label: str | None = None
    test_label: str | None = None
    limit: int | None = None
    shifts: tuple[str, ...] = ()
    test_fraction: float = 0.2
    seed: int = 0
    command: str = "noiseproof.deft(...)"
    quiet: bool = False

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
        names = (
            "train", "test", "ood", "label_noise", "rate", "noise_manifest", "label", "image", "clean_label",
            "test_label", "limit", "shifts", "test_fraction", "seed", "command", "quiet",
        )  # fmt: skip
        values = {name: getattr(self, name) for name in names}
        return FinetuneJob(
            backbone=self.phase2_backbone or self.model, out=out, settings=self.phase2_settings, **values
        )


def resolve_deft_settings(
    overrides: Iterable[str] = (), options: Mapping[str, Any] | None = None
) -> DeftSettings:
    """Settings from `--set name=value` and options; those that are `None` were not given.

    Raises:
        InvalidArgument: with one line per mistake.
    """
    mistakes: list[str] = []
    values: dict[Any, Any] = {key: value for key, value in (options or {}).items() if value is not None}
    for path, value in parse_overrides(overrides, values, mistakes).items():
        set_value(values, path, value, mistakes)
    return checked(DeftSettings, values, mistakes, file=None)
