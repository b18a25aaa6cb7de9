"""Configuration of `noiseproof detect`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import field_validator, model_validator

from noiseproof.config.base import option
from noiseproof.config.data import (
    ENCODER,
    DecisionsConfig,
    EncodersConfig,
    IssueFilesConfig,
    NamesWithCommas,
    NoisyDataConfig,
    PlanConfig,
)
from noiseproof.core.errors import InvalidArgument

DETECTOR, EXPORT = "Detector", "Export"


class DetectConfig(NoisyDataConfig, EncodersConfig, IssueFilesConfig, DecisionsConfig, PlanConfig):
    """Everything `noiseproof detect` takes; the command's options have the same names."""

    method: str = option(
        "auto", panel=DETECTOR, help="Detector; auto chooses one and says why. See 'noiseproof ls detectors'."
    )
    method_options: dict[str, Any] = option(
        {}, panel=DETECTOR, help="Option of --method, such as k=20.", shown_default="those of the detector"
    )
    probs: Path | None = option(
        None, panel=DETECTOR, shown_default="none",
        help="Out-of-sample class probabilities (pred_probs) of your own model: .npy, .npz or .parquet.",
    )  # fmt: skip
    zero_shot: Path | None = option(
        None, panel=DETECTOR, help="Class probabilities of an image-text model, likewise.",
        shown_default="none",
    )  # fmt: skip
    features: Path | None = option(
        None, panel=ENCODER, shown_default="encode the data",
        help="Folder that 'noiseproof extract' wrote for this data set; nothing is encoded.",
    )  # fmt: skip
    export: NamesWithCommas = option(
        (), panel=EXPORT, shown_default="none",
        help="Further formats: json, cleanlab, fiftyone, label-studio, cleaned-drop, cleaned-relabel; "
        "may be repeated.",
    )  # fmt: skip

    rate_sample: int | None = option(
        None, ge=30, panel="Decisions", shown_default="none",
        help="Draw this many labels whose check tells how many are wrong, and write a form, rate_sample.csv.",
    )  # fmt: skip
    budget: int | None = option(
        None, ge=1, panel="Decisions", shown_default="none",
        help="Write the first labels to check into a form, check_first.csv.",
    )  # fmt: skip

    @field_validator("export")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(value))

    @model_validator(mode="after")
    def _features_from_one_source(self) -> DetectConfig:
        for name in ("backbone", "layer"):
            if self.features is not None and getattr(self, name):
                raise InvalidArgument(
                    f"`features` and `{name}` are both given; allowed: one of them, since these features "
                    "are made already."
                )
        return self
