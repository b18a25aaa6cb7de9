"""Configuration of `noiseproof extract`."""

from __future__ import annotations

from typing import Literal

from noiseproof.config.base import option
from noiseproof.config.data import ENCODER, RUN, DataConfig, EncoderConfig, Folder, PlanConfig


class ExtractConfig(DataConfig, EncoderConfig, PlanConfig):
    """Everything `noiseproof extract` takes; the command's options have the same names."""

    out: Folder = option(panel=RUN, help="Folder that load_features reads.")
    views: Literal[1, 2] = option(
        1, panel=ENCODER, help="With 2, two augmented views of each image, in a folder each."
    )
