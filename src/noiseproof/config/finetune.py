"""Configuration of `noiseproof adapt finetune`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, field_validator, model_validator

from noiseproof.adapt.finetune_settings import FinetuneSettings, MetaSettings, TowerSettings
from noiseproof.config.base import option, split_at_commas
from noiseproof.config.data import DATA, ENCODER, EvaluationConfig
from noiseproof.core.checks import check_share

TRAINING = "Training"


class FinetuneConfig(EvaluationConfig, FinetuneSettings):
    """Everything `noiseproof adapt finetune` takes; the command's options have the same names."""

    panels = {FinetuneSettings: TRAINING, TowerSettings: TRAINING}  # noqa: RUF012  a ClassVar of the base

    backbone: str = option(
        panel=ENCODER, help="Encoder to start from: timm:NAME, timm:NAME@FILE, zoo:NAME or bundled:NAME."
    )
    meta_set: str | None = option(
        None, panel=DATA, shown_default="none",
        help="A few examples with checked labels, from which Meta-Weight-Net learns to weigh the others.",
    )  # fmt: skip
    wise_ft: Annotated[tuple[float, ...], BeforeValidator(split_at_commas)] = option(
        (), panel=TRAINING, shown_default="none",
        help="Also evaluate between the weights before (0) and after (1), such as 0,0.25,0.5,0.75,1.",
    )  # fmt: skip

    @field_validator("wise_ft")
    @classmethod
    def _shares(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        for each in value:
            check_share(each, "wise_ft")
        return value

    @model_validator(mode="after")
    def _meta_set_asks_for_meta_weight_net(self) -> FinetuneConfig:
        if self.meta_set is not None and self.meta is None:
            object.__setattr__(self, "meta", MetaSettings())  # the card then says how it was weighed
        return self

    @property
    def settings(self) -> FinetuneSettings:
        """The settings of the training, without the data."""
        return self.settings_of(FinetuneSettings)
