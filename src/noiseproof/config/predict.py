"""Configuration of `noiseproof predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from noiseproof.config.base import Config, option
from noiseproof.config.data import DATA, RUN, EngineConfig
from noiseproof.core.system_errors import expanded
from noiseproof.models.prediction_files import check_out

PREDICTION = "Prediction"
MODEL_HELP = "Folder of 'noiseproof run' or 'noiseproof adapt finetune', or a saved head."


class ModelConfig(Config):
    """A saved model, and the columns of the data that it reads."""

    run: Path = Field(description=MODEL_HELP)
    head: str | None = option(
        None, panel=PREDICTION, help="Head of the run, such as linear or nmtune-seed2.",
        shown_default="the one that the run chose on held-out training examples",
    )  # fmt: skip
    image: str | None = option(
        None, panel=DATA, help="Column of images or of their paths.", shown_default="found by name"
    )
    text: str | None = option(
        None, panel=DATA, help="Column of texts; FIRST,SECOND for pairs of texts.",
        shown_default="found by name",
    )  # fmt: skip

    @field_validator("run", mode="before")
    @classmethod
    def _is_named(cls, value: Any) -> Any:
        if not str(value).strip():  # else it would be the folder of the process
            raise ValueError("a folder of 'noiseproof run', or a saved head")
        return value

    @field_validator("run")
    @classmethod
    def _home_folder(cls, value: Path) -> Path:
        return expanded(value)


class PredictConfig(EngineConfig, ModelConfig):
    """Everything `noiseproof predict` takes; the command's options have the same names."""

    data: tuple[str, ...] = Field(
        min_length=1,
        description="What to classify: a folder of images, image files, a table, or .npz or .npy features; "
        "labels in it are passed over.",
    )
    out: Path | None = option(
        None, panel=RUN, help="File of the predictions: .csv, .parquet or .jsonl.",
        shown_default="the first are printed",
    )  # fmt: skip
    confidence: float = option(
        0.9, ge=0, le=1, panel=PREDICTION, help="Predictions with less confidence are called unsure."
    )

    @field_validator("out")
    @classmethod
    def _out_is_ours(cls, value: Path | None) -> Path | None:
        if value is not None:
            value = expanded(value)
            check_out(value)
        return value
