"""Save and load fitted heads: tensors in safetensors, everything else in JSON; no pickle."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from noiseproof.core import files
from noiseproof.core.checksums import check_bytes, read_record, write_record
from noiseproof.core.errors import DamagedFile, MissingFile, invalid

_SCHEMA = 1
_KEYS = {"schema", "head", "options", "classes", "classes_dtype", "num_features", "sha256"}
SUFFIXES = (".safetensors", ".json")


@dataclass(frozen=True, eq=False)
class SavedHead:
    """A fitted head as plain values.

    Attributes:
        kind: name in `heads.estimators.HEADS`.
        options: constructor arguments.
        classes: (k,) labels, sorted.
        num_features: d.
        state: parameters by name.
    """

    kind: str
    options: Mapping[str, Any]
    classes: np.ndarray
    num_features: int
    state: Mapping[str, torch.Tensor]


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
    write_record(
        card,
        {
            "schema": _SCHEMA,
            "head": head.kind,
            "options": {name: _plain(value) for name, value in head.options.items()},
            "classes": head.classes.tolist(),
            "classes_dtype": str(head.classes.dtype),
            "num_features": head.num_features,
            "sha256": hashlib.sha256(content).hexdigest(),
        },
    )
    return tensors


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
    content = tensors.read_bytes()
    facts = read_record(card, next_step="fit and save it again")
    if not isinstance(facts, dict) or not facts.keys() >= _KEYS:
        raise DamagedFile(
            f"{str(card)!r} does not describe a head; it needs {', '.join(sorted(_KEYS))}. "
            "Next: fit and save it again."
        )
    if facts["schema"] != _SCHEMA:
        raise DamagedFile(
            f"{str(card)!r} has schema {facts['schema']!r}; this version reads schema {_SCHEMA}. Next: load "
            "it with the version that saved it, or fit and save it again."
        )
    check_bytes(tensors, content, facts["sha256"], next_step="fit and save it again")
    try:
        state = load(content)
        classes = np.array(facts["classes"], dtype=facts["classes_dtype"])
    except (SafetensorError, ValueError, TypeError) as error:
        raise DamagedFile(
            f"The head at {str(tensors)!r} is damaged ({error}). Next: fit and save it again."
        ) from error
    return SavedHead(facts["head"], facts["options"], classes, facts["num_features"], state)


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
