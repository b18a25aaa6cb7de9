"""Configuration of `noiseproof export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator, model_validator

from noiseproof.config.base import option
from noiseproof.config.data import DATA, RUN, a_folder
from noiseproof.config.predict import MODEL_HELP, ModelConfig
from noiseproof.core.errors import InvalidArgument
from noiseproof.core.system_errors import expanded
from noiseproof.models.onnx_model import check_onnx_out


class ExportConfig(ModelConfig):
    """Everything `noiseproof export` takes; the command's options have the same names."""

    run: Path = Field(description=f"{MODEL_HELP} For --hub also a cleaned data set.")
    onnx: Path | None = option(
        None, panel=RUN,
        help="File for ONNX Runtime: encoder, normalisation of the pixels, head and class names. Resizing, "
        "cropping and tokenising stay outside; the metadata of the file describe them.",
        shown_default="none",
    )  # fmt: skip
    hub: Annotated[Path | None, AfterValidator(lambda path: path and a_folder(path))] = option(
        None, panel=RUN, help="Folder for the Hugging Face hub, with a card; upload it with 'hf upload'.",
        shown_default="none",
    )  # fmt: skip
    data: str | None = option(
        None, panel=DATA, help="Real examples to check the ONNX file on.",
        shown_default="the training data",
    )  # fmt: skip

    @field_validator("onnx")
    @classmethod
    def _onnx_is_ours(cls, value: Path | None) -> Path | None:
        if value is not None:
            value = expanded(value)
            check_onnx_out(value)
        return value

    @model_validator(mode="after")
    def _something_to_write(self) -> ExportConfig:
        if self.onnx is None and self.hub is None:
            raise InvalidArgument(
                "Nothing is named to write; allowed: `onnx`, `hub` or both. Next: --onnx model.onnx or --hub "
                "DIR."
            )
        return self
