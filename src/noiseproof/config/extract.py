"""Configuration of `noiseproof extract`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import model_validator

from noiseproof.config.base import option
from noiseproof.config.data import ENCODER, RUN, DataConfig, EncoderConfig
from noiseproof.core.errors import invalid


class ExtractConfig(DataConfig, EncoderConfig):
    """Everything `noiseproof extract` takes; the command's options have the same names."""

    out: Path = option(panel=RUN, help="Folder that load_features reads.")
    views: Literal[1, 2] = option(
        1, panel=ENCODER, help="With 2, two augmented views of each image, in a folder each."
    )
    plan: bool = option(
        False, panel=ENCODER,
        help="Only print how many requests and tokens an embedding service would be asked for.",
    )  # fmt: skip
    price: float | None = option(
        None, ge=0, panel=ENCODER, help="Price of a million tokens, for --plan.", shown_default="none"
    )

    @model_validator(mode="after")
    def _a_plan_is_of_a_service(self) -> ExtractConfig:
        if self.plan and not (self.backbone or "").startswith("api:"):
            raise invalid("plan", True, "an embedding service as `backbone`, such as api:MODEL@URL")
        if self.price is not None and not self.plan:
            raise invalid("price", self.price, "a price beside `plan`", "Next: --plan.")
        return self
