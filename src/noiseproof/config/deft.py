"""Configuration of `noiseproof adapt deft`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from noiseproof.adapt.finetune_settings import FinetuneSettings, TowerSettings
from noiseproof.adapt.learnable import MODES, TuneMode
from noiseproof.backbones.image_text.shared_space import USUAL_MODEL
from noiseproof.config.base import option
from noiseproof.config.data import CacheConfig, EvaluationConfig
from noiseproof.config.finetune import FinetuneConfig
from noiseproof.core.errors import InvalidArgument
from noiseproof.detect.prompt_settings import PromptSettings

NONE = "none"
PHASE_1, PHASE_2 = "Phase 1", "Phase 2"


class DeftSettings(PromptSettings, TowerSettings):
    """How prompts, and with them an image tower, learn which given labels are right.

    The mean over selected examples is taken in each part of an accumulation and in each process.

    Source: Wei et al. 2024, arXiv:2409.19696, and its released configurations.
    """

    tune: str | None = Field(
        default=None,
        description="What of the image tower learns: none (prompts only, features once), full, "
        "last-blocks:N, bias, lora, vpt-deep[:N], vpt-shallow[:N], adapter[:N] or ssf; by default "
        "vpt-deep:20 for transformers, none for others and for bundled models.",
    )

    @field_validator("tune")
    @classmethod
    def _known_mode(cls, value: str | None) -> str | None:
        if value in (None, NONE):
            return value
        try:
            mode = TuneMode.parse(str(value))
        except InvalidArgument:
            mode = None
        if mode is None or mode.kind == "head":
            modes = [each for each in MODES if each != "head"]
            raise ValueError(f"{NONE}, {', '.join(modes)} with N from 1")
        return value

    @property
    def is_prompts_only(self) -> bool:
        """Whether the image tower stays as it is, so that features are computed once."""
        return self.tune == NONE


class DeftConfig(EvaluationConfig, CacheConfig, DeftSettings):
    """Everything `noiseproof adapt deft` takes; the command's options have the same names."""

    panels = {DeftSettings: PHASE_1, PromptSettings: PHASE_1, TowerSettings: PHASE_1}  # noqa: RUF012

    model: str = option(
        USUAL_MODEL, panel=PHASE_1, help="Image-text model: open_clip:ARCH/TAG, or a bundled one."
    )
    phase2: Literal["none", "heads", "full"] = option(
        "none", panel=PHASE_2,
        help="What is trained on the selected examples: nothing, heads on features, or a whole encoder.",
    )  # fmt: skip
    phase2_backbone: str | None = option(
        None, panel=PHASE_2, help="Encoder of phase 2; full needs one to train.",
        shown_default="the image tower of --model",
    )  # fmt: skip
    phase2_settings: FinetuneSettings = Field(
        default_factory=lambda: FinetuneSettings(),
        description="Settings of full fine-tuning, by --set phase2_settings.epochs=5.",
    )

    @model_validator(mode="after")
    def _full_needs_an_encoder(self) -> DeftConfig:
        if self.phase2 == "full" and self.phase2_backbone is None:
            raise InvalidArgument(
                "`phase2` is 'full', which needs `phase2_backbone`: timm:NAME, timm:NAME@FILE, zoo:NAME or "
                "bundled:NAME. Next: name an encoder to train, or take phase2=heads."
            )
        return self

    @property
    def settings(self) -> DeftSettings:
        """The settings of phase 1, without the data."""
        return self.settings_of(DeftSettings)

    def for_phase2(self, out: Path) -> FinetuneConfig:
        """Configuration of fine-tuning on the examples that phase 1 selected, whose labels are kept."""
        data = {name: getattr(self, name) for name in EvaluationConfig.model_fields}
        data |= {"out": out, "noise": None, "noise_manifest": None}
        settings = {name: getattr(self.phase2_settings, name) for name in FinetuneSettings.model_fields}
        return FinetuneConfig(**data, **settings, backbone=self.phase2_backbone or self.model)
