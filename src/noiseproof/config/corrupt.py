"""Configuration of `noiseproof corrupt`."""

from __future__ import annotations

from pathlib import Path

from pydantic import model_validator

from noiseproof.config.base import option
from noiseproof.config.data import DATA, NOISE, RUN, DataConfig, Folder
from noiseproof.core.errors import invalid
from noiseproof.noise.spec import CAPTIONS, Noise


class CorruptConfig(DataConfig):
    """Everything `noiseproof corrupt` takes; the command's options have the same names."""

    train: str = option(panel=DATA, help="Data set, or image-text pairs for captions:RATE.")
    out: Folder = option(panel=RUN, help="Folder of the manifest and, for captions, of the copy.")
    noise: Noise = option(
        panel=NOISE,
        help="KIND:RATE such as symmetric:0.2, asymmetric:MAP:RATE (MAP: cifar10, cifar100, mnist, "
        "fashion-mnist or a YAML file), asymmetric:MATRIX.npy, real:COLUMN or captions:RATE; see "
        "'noiseproof ls noise'.",
    )
    caption: str | None = option(
        None, panel=DATA, help="Column of the captions, or their file name extension in shards.",
        shown_default="found by name",
    )  # fmt: skip
    features: Path | None = option(
        None, panel=NOISE, shown_default="pixels",
        help="For the instance kinds: folder that 'noiseproof extract' wrote.",
    )  # fmt: skip

    @model_validator(mode="after")
    def _options_fit_the_kind(self) -> CorruptConfig:
        is_of_captions = self.noise.kind == CAPTIONS
        idle = ("label", "clean_label", "text", "limit", "features") if is_of_captions else ("caption",)
        for name in idle:
            if (value := getattr(self, name)) is not None:
                kinds = "noise of labels" if is_of_captions else "noise captions:RATE"
                raise invalid(name, str(value), f"only with {kinds}", "Next: leave it out.")
        return self
