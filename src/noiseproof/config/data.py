"""The data set, encoder and noise that every flow over one data set is configured with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError


def default_cache() -> Path:
    """The feature store of this user: $NOISEPROOF_CACHE, else a folder in the home folder."""
    return Path(os.environ.get("NOISEPROOF_CACHE") or "~/.cache/noiseproof/features").expanduser()


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CorruptConfig(_Part):
    """Wrong labels to inject into the training part.

    Attributes:
        kind: a name that `noiseproof ls noise` shows.
        rate: fraction of the labels to change, in [0, 1].
        class_map: of kind "asymmetric": "cifar10", "cifar100" or class -> class.
    """

    kind: str = "symmetric"
    rate: float = Field(ge=0, le=1)
    class_map: str | dict[str | int, str | int] | None = None


class DataConfig(_Part):
    """What every flow over one data set can be told: which data, which encoder, where; also in options.

    Attributes:
        train: data set whose labels are given.
        backbone: frozen encoder; `None` is `bundled:efficientnet-lite0` for images and the matrix itself
            for features.
        layer: which output of the encoder; `None` is its default.
        out: the folder of what is made.
        label: column of the given labels; `None` finds it.
        image: column of the images; `None` finds it.
        text: column of the texts; `None` finds it.
        clean_label: column of the true labels, where they are known.
        limit: at most this many random examples of each data set.
        on_error: what an unreadable example does.
        corrupt: noise to inject into the training part, `kind:rate` or `asymmetric:class_map:rate`.
        noise_manifest: folder of noise that `noiseproof corrupt` made for `train`, instead of `corrupt`.
        engine: what runs the encoder.
        precision: arithmetic of the encoder.
        dtype: of the stored features.
        batch_size: images per encoder call.
        cache: folder of the feature store, shared by all runs.
        seed: of whatever is drawn at random.
    """

    train: str
    out: Path
    backbone: str | None = None
    layer: str | None = None
    label: str | None = None
    image: str | None = None
    text: str | None = None
    clean_label: str | None = None
    limit: int | None = Field(default=None, ge=1)
    on_error: Literal["raise", "skip"] = "raise"
    corrupt: CorruptConfig | None = None
    noise_manifest: Path | None = None
    engine: Literal["auto", "torch", "onnxruntime"] = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"
    dtype: Literal["float32", "float16"] = "float32"
    batch_size: int = Field(default=64, ge=1)
    cache: Path = Field(default_factory=default_cache)
    seed: int = Field(default=0, ge=0)

    @field_validator("corrupt", mode="before")
    @classmethod
    def _kind_and_rate(cls, value: Any) -> Any:
        if isinstance(value, str) and ":" in value:
            kind, _, rate = value.rpartition(":")
            kind, colon, class_map = kind.partition(":")  # asymmetric:cifar10:0.4
            return {"kind": kind, "rate": rate} | ({"class_map": class_map} if colon else {})
        return {"rate": value} if isinstance(value, str | float | int) else value

    @field_validator("noise_manifest")
    @classmethod
    def _one_noise(cls, value: Path | None, info: Any) -> Path | None:
        if value is not None and info.data.get("corrupt") is not None:
            raise ValueError("nothing where `corrupt` says which noise; leave one of the two out")
        return value

    @model_validator(mode="after")
    def _one_kind_of_truth(self) -> DataConfig:
        noise = "corrupt" if self.corrupt is not None else "noise_manifest"
        if getattr(self, noise) is not None and self.clean_label is not None:
            raise PydanticCustomError(
                "two truths",
                "`{noise}` and `clean_label` are both given; allowed: one of them, since noise on top of "
                "wrong labels has no one truth to measure against. Next: for noise on the true labels, name "
                "their column with `label` and leave `clean_label` out",
                {"noise": noise},
            )
        if self.clean_label is not None and self.clean_label == self.label:
            raise PydanticCustomError(
                "truth judged by itself",
                "`clean_label` is '{column}', as `label` is; allowed: another column, since labels compared "
                "with themselves are all right. Next: leave it out where the true labels are not known",
                {"column": self.label},
            )
        return self

    @field_validator("cache", "out")
    @classmethod
    def _a_folder(cls, value: Path) -> Path:
        path = value.expanduser()
        # Unlike `Path.exists`, this never raises, whatever the permissions on the way.
        nearest = next((each for each in (path, *path.parents) if os.path.lexists(each)), path)
        if os.path.lexists(nearest) and not nearest.is_dir():
            raise ValueError(f"a folder, while {str(nearest)!r} is a file")
        return path
