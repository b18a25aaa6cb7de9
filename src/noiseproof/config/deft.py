"""What DeFT's first phase is told, apart from data and model."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from noiseproof.adapt.finetune_settings import FinetuneSettings
from noiseproof.adapt.learnable import MODES, Tune
from noiseproof.core.errors import InvalidArgument
from noiseproof.detect.prompts import PromptSettings

NONE = "none"
_OF_TRAINING = (
    "reading", "augmentation", "padding", "least_scale", "workers", "epochs", "batch_size", "learning_rate",
    "weight_decay", "momentum", "precision", "accumulation", "max_grad_norm", "checkpoint_steps",
    "lora_rank", "lora_alpha",
)  # fmt: skip
_OF_PROMPTS = (
    "variant", "num_context", "epochs", "warmup_epochs", "batch_size", "learning_rate", "momentum",
    "weight_decay",
)  # fmt: skip


class DeftSettings(BaseModel):
    """How prompts, and with them an image tower, learn which given labels are right.

    Attributes:
        tune: what of the image tower learns: a mode of `FinetuneSettings.tune` but "head", or "none" for
            prompts on features that are computed once; `None` is "vpt-deep:20" for transformers and "none"
            for others and for bundled models.
        variant: "synthetic" is the paper's; "real" the released code's for labels of people and of the web.
        num_context: learnable vectors of a prompt.
        warmup_epochs: in which all given labels are learned.
        reading, augmentation, padding, least_scale, workers, precision, accumulation, max_grad_norm,
            checkpoint_steps, lora_rank, lora_alpha: as in `FinetuneSettings`; only with something to tune.
            The mean over selected examples is taken in each part of an accumulation and in each process.
        epochs: passes over the examples.
        batch_size: examples per step, each of which encodes the text once.
        learning_rate: of SGD, of prompts and tower alike; falls along a cosine, but not in the real variant.
        weight_decay: of matrices, and of prompts.
        momentum: of SGD.

    Source: Wei et al. 2024, arXiv:2409.19696, and its released configurations.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    tune: str | None = None
    variant: Literal["synthetic", "real"] = "synthetic"
    num_context: int = Field(default=16, ge=1)
    warmup_epochs: int = Field(default=1, ge=0)
    reading: Literal["memory", "stream"] = "memory"
    augmentation: Literal["flip-crop", "flip", "crop", "none"] = "flip-crop"
    padding: int = Field(default=4, ge=1)
    least_scale: float = Field(default=0.08, gt=0, le=1)
    workers: int = Field(default=4, ge=0)
    epochs: int = Field(default=10, ge=1)
    batch_size: int = Field(default=64, ge=1)
    learning_rate: float = Field(default=0.03, gt=0)
    weight_decay: float = Field(default=5e-4, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    accumulation: int = Field(default=1, ge=1)
    max_grad_norm: float | None = Field(default=None, gt=0)
    checkpoint_steps: int = Field(default=500, ge=1)
    lora_rank: int = Field(default=8, ge=1)
    lora_alpha: int = Field(default=16, ge=1)

    @field_validator("tune")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value in (None, NONE):
            return value
        try:
            tune = Tune.parse(str(value))
        except InvalidArgument:
            tune = None
        if tune is None or tune.mode == "head":
            modes = [mode for mode in MODES if mode != "head"]
            raise ValueError(f"{NONE}, {', '.join(modes)} with N from 1")
        return value

    @property
    def is_prompts_only(self) -> bool:
        """Whether the image tower stays as it is, so that features are computed once."""
        return self.tune == NONE

    def training(self) -> FinetuneSettings:
        """The same for what reads images and makes steps."""
        values = {name: getattr(self, name) for name in _OF_TRAINING}
        tune = "head" if self.tune in (None, NONE) else self.tune
        return FinetuneSettings(**values, tune=tune, optimizer="momentum", warmup_share=0.0)

    def prompts(self) -> PromptSettings:
        """The same for prompts on features."""
        return PromptSettings(**{name: getattr(self, name) for name in _OF_PROMPTS})
