"""Save and load fitted heads: tensors in safetensors, everything else in JSON; no pickle."""

from __future__ import annotations

import hashlib
import os
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr
from safetensors import SafetensorError
from safetensors.torch import load, save

from noiseproof.core.errors import DamagedFile, MissingFile, invalid
from noiseproof.core.storage import files
from noiseproof.core.storage.checksums import check_bytes, write_record
from noiseproof.core.storage.documents import Document, read_document
from noiseproof.core.storage.regular_files import read_regular

T = TypeVar("T", bound="Loadable")
SUFFIXES = (".safetensors", ".json")
_MAX_BYTES = 4 << 30
_SAVE_AGAIN = "fit and save it again"


class EncoderNeed(BaseModel):
    """An encoder whose features a head was trained on.

    Attributes:
        name: as the user wrote it.
        kind: what it reads: "image", "text" or "features".
        layer: which features of the model these are.
        weights_hash: SHA-256 over its weights.
        transform: how an example is prepared.
        max_tokens: where longer texts were cut off; `None` for all that it reads.
    """

    model_config = ConfigDict(frozen=True)
    name: str
    kind: Literal["image", "text", "features"]
    layer: str
    weights_hash: str
    transform: str
    max_tokens: int | None = None


class HeadCalibration(BaseModel):
    """Calibration of a head on held-out examples, see `posterior.temperature`.

    Attributes:
        sharpness: factor of the logarithms of its probabilities.
        noise_rate: share of the held-out labels that look wrong.
        num_held_out: number of these examples.
    """

    model_config = ConfigDict(frozen=True)
    sharpness: float = Field(gt=0)
    noise_rate: float = Field(ge=0, le=1)
    num_held_out: int = Field(ge=1)


class HeadNeeds(BaseModel):
    """The needs of a head that classifies new examples.

    Attributes:
        class_names: of the classes of the head, in their order; none of a head that predicts scores.
        encoders: whose features stand side by side.
        precision: of the arithmetic of the encoders.
        dtype: of the stored features.
        calibration: of its probabilities; `None` where no held-out examples came with it.
    """

    model_config = ConfigDict(frozen=True)
    class_names: tuple[str, ...]
    encoders: tuple[EncoderNeed, ...] = Field(min_length=1)
    precision: Literal["float32", "bfloat16"] = "float32"
    dtype: Literal["float32", "float16"] = "float32"
    calibration: HeadCalibration | None = None


class HeadCard(Document):
    """The JSON of a saved head, see `SavedHead`."""

    head: str
    options: dict[str, Any]
    classes: list[StrictBool | StrictInt | StrictFloat | StrictStr]
    classes_dtype: str = Field(pattern=r"^(bool|object|[<>=|]?[biufUS][0-9]{1,6}|u?int[0-9]+|float[0-9]+)$")
    num_features: int = Field(ge=1, le=2**24)
    sha256: str
    needs: HeadNeeds | None = None
    feature_names: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class SavedHead:
    """A fitted head as plain values.

    Attributes:
        kind: name in `heads.estimators.HEADS`.
        options: constructor arguments.
        classes: (k,) labels, sorted.
        num_features: d.
        state: parameters by name.
        needs: encoders and class names; `None` where the head was fitted to a matrix.
        feature_names: of the d columns; `None` where the head was fitted to columns without names.
    """

    kind: str
    options: Mapping[str, Any]
    classes: np.ndarray
    num_features: int
    state: Mapping[str, torch.Tensor]
    needs: HeadNeeds | None = None
    feature_names: tuple[str, ...] | None = None


def write_head(head: SavedHead, path: str | os.PathLike[str]) -> Path:
    """Write `path`.safetensors, then `path`.json, whose existence means complete.

    Args:
        head: to write.
        path: with or without the suffix .safetensors.

    Returns:
        Path of the safetensors file.
    """
    tensors, card = _paths(path)
    if head.classes.dtype == object and not all(isinstance(name, str) for name in head.classes):
        raise invalid("classes_", head.classes.tolist(), "strings or numbers of one type")
    content = save({name: value.contiguous() for name, value in head.state.items()})
    files.write_bytes(tensors, content)
    facts = HeadCard(
        head=head.kind,
        options={name: _plain(value) for name, value in head.options.items()},
        classes=head.classes.tolist(),
        classes_dtype=str(head.classes.dtype),
        num_features=head.num_features,
        sha256=hashlib.sha256(content).hexdigest(),
        needs=head.needs,
        feature_names=head.feature_names,
    )
    write_record(card, facts.to_json())
    return tensors


class Loadable:
    """An estimator that was saved and can be loaded again; `kind` is its name in the file."""

    kind: ClassVar[str]
    n_features_in_: int
    feature_names_in_: np.ndarray  # as scikit-learn has it: only where the columns have names

    def _feature_names(self) -> tuple[str, ...] | None:
        names = vars(self).get("feature_names_in_")
        return None if names is None else tuple(names.tolist())

    def _set_columns(self, saved: SavedHead) -> None:
        self.n_features_in_ = saved.num_features
        if saved.feature_names is not None:
            self.feature_names_in_ = np.array(saved.feature_names, dtype=object)

    @classmethod
    def load(cls: type[T], path: str | os.PathLike[str]) -> T:
        """Load an estimator of this class that `save` wrote.

        Raises:
            MissingFile: one of the two files does not exist.
            DamagedFile: a file was altered or truncated.
            InvalidArgument: the file holds an estimator of another class.
            CheckpointMismatch: the tensors do not fit the estimator.
        """
        saved = read_head(path)
        if saved.kind != cls.kind:
            held = f"The file holds a head {saved.kind!r}."
            raise invalid("path", str(path), f"a saved {cls.__name__}", held)
        return cls.from_saved(saved, str(path))

    @classmethod
    @abstractmethod
    def from_saved(cls: type[T], saved: SavedHead, source: str) -> T:
        """A fitted estimator from saved values; `source` is their file, for errors."""


def read_head(path: str | os.PathLike[str]) -> SavedHead:
    """Read a head that `write_head` wrote.

    Raises:
        MissingFile: one of the two files does not exist.
        DamagedFile: a file was altered or truncated.
    """
    tensors, card = _paths(path)
    for file in (tensors, card):
        if not file.is_file():
            raise MissingFile(
                f"{str(file)!r} does not exist; a saved head is a .safetensors and a .json file."
            )
    facts = read_document(card, HeadCard, next_step=_SAVE_AGAIN)
    content = read_regular(tensors, max_bytes=_MAX_BYTES)
    check_bytes(str(tensors), content, facts.sha256, next_step=_SAVE_AGAIN)
    try:
        state = load(content)
        classes = np.array(facts.classes, dtype=facts.classes_dtype)
    except (SafetensorError, ValueError, TypeError, OverflowError, KeyError) as error:
        raise DamagedFile(
            f"The head at {str(tensors)!r} is damaged ({error}). Next: {_SAVE_AGAIN}."
        ) from error
    if facts.needs is not None and len(facts.needs.class_names) != len(classes):
        raise DamagedFile(
            f"{str(card)!r} has {len(facts.needs.class_names)} class names for {len(classes)} classes. "
            f"Next: {_SAVE_AGAIN}."
        )
    names = facts.feature_names
    if names is not None and len(names) != facts.num_features:
        raise DamagedFile(
            f"{str(card)!r} has {len(names)} names of columns for {facts.num_features} columns. "
            f"Next: {_SAVE_AGAIN}."
        )
    return SavedHead(facts.head, facts.options, classes, facts.num_features, state, facts.needs, names)


def _plain(value: Any) -> Any:
    """Python values instead of NumPy values, e.g. from a grid search, for JSON."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def _paths(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    stem = Path(path)
    if stem.suffix == ".safetensors":
        stem = stem.with_suffix("")
    return stem.with_name(stem.name + ".safetensors"), stem.with_name(stem.name + ".json")
