"""A fitted head on disk: safetensors for the numbers, JSON for the rest; no pickle."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load, save

from noiseproof import atomic
from noiseproof.errors import CheckpointMismatch, DamagedFile, MissingFile, invalid
from noiseproof.heads.abstract import AbstractHead, expected_shapes
from noiseproof.heads.estimators import HEADS
from noiseproof.registry import unknown_name

_SCHEMA = 1
_FACTS = {"schema", "head", "options", "classes", "classes_dtype", "num_features", "sha256"}
SUFFIXES = (".safetensors", ".json")


def save_head(head: AbstractHead, path: str | os.PathLike[str]) -> Path:
    """Write `path`.safetensors and, last, `path`.json, which makes it complete.

    Args:
        head: fitted.
        path: with or without the suffix .safetensors.

    Returns:
        Path of the safetensors file.
    """
    tensors, card = _paths(path)
    if head.classes_.dtype == object and not all(isinstance(name, str) for name in head.classes_):
        raise invalid("classes_", head.classes_.tolist(), "strings or numbers of one type")
    content = save({name: value.contiguous() for name, value in head.state_.items()})
    atomic.write_bytes(tensors, content)
    atomic.write_json(
        card,
        {
            "schema": _SCHEMA,
            "head": next(name for name, kind in HEADS.items() if type(head) is kind),
            "options": {name: _plain(value) for name, value in head.get_params().items()},
            "classes": head.classes_.tolist(),
            "classes_dtype": str(head.classes_.dtype),
            "num_features": head.n_features_in_,
            "sha256": hashlib.sha256(content).hexdigest(),
        },
    )
    return tensors


def load_head(path: str | os.PathLike[str]) -> AbstractHead:
    """The head that `save_head` wrote.

    Raises:
        MissingFile: one of the two files is absent.
        DamagedFile: one was altered or cut short.
        CheckpointMismatch: the tensors are not those of such a head.
    """
    tensors, card = _paths(path)
    for file in (tensors, card):
        if not file.is_file():
            raise MissingFile(
                f"{str(file)!r} does not exist; a saved head is a .safetensors and a .json file."
            )
    content = tensors.read_bytes()
    try:
        facts = json.loads(card.read_text())
        state = load(content)
    except (json.JSONDecodeError, UnicodeDecodeError, SafetensorError) as error:
        raise DamagedFile(
            f"The head at {str(tensors)!r} is damaged ({error}). Next: fit and save it again."
        ) from error
    if not isinstance(facts, dict) or not facts.keys() >= _FACTS:
        raise DamagedFile(
            f"{str(card)!r} does not describe a head; it needs {', '.join(sorted(_FACTS))}. "
            "Next: fit and save it again."
        )
    if facts["head"] not in HEADS:
        raise unknown_name("head", facts["head"], HEADS)
    head = HEADS[facts["head"]](**facts["options"])
    head.classes_ = np.array(facts["classes"], dtype=facts["classes_dtype"])
    head.n_features_in_, head.state_ = facts["num_features"], state
    _check_fit(head, str(tensors))
    if hashlib.sha256(content).hexdigest() != facts["sha256"]:
        raise DamagedFile(
            f"{str(tensors)!r} is not the file its JSON describes. Next: fit and save it again."
        )
    return head


def _check_fit(head: AbstractHead, where: str) -> None:
    expected = expected_shapes(head)
    found = {name: tuple(value.shape) for name, value in head.state_.items()}
    missing, unexpected = sorted(expected.keys() - found), sorted(found.keys() - expected)
    reshaped = [
        f"{name} {found[name]} for {shape}"
        for name, shape in expected.items()
        if found.get(name, shape) != shape
    ]
    if missing or unexpected or reshaped:
        raise CheckpointMismatch(
            f"{where!r} does not fit {type(head).__name__}: missing {missing}, unexpected {unexpected}, "
            f"other shapes {reshaped}. Next: load it with the version and options that saved it."
        )


def _plain(value: Any) -> Any:
    """Options may be numpy's, of a grid search for example; JSON knows Python's."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def _paths(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    stem = Path(path)
    if stem.suffix == ".safetensors":
        stem = stem.with_suffix("")
    return stem.with_name(stem.name + ".safetensors"), stem.with_name(stem.name + ".json")
