"""Estimators of one or two heads as plain values, in the two files of a head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from noiseproof.core.errors import DamagedFile
from noiseproof.heads.abstract import AbstractClassifier
from noiseproof.heads.estimators import HEADS
from noiseproof.heads.saved_heads import HeadNeeds, SavedHead

_HEAD, _MEMBERS, _FITTED = "head", "heads_", "fitted"
_OF_ALL = ("classes_", "n_features_in_", _MEMBERS)  # attributes that every estimator has


def to_saved(estimator: Any, needs: HeadNeeds | None) -> SavedHead:
    """Values of a fitted estimator; the tensors of its head i are called `i.NAME`."""
    options = {name: value for name, value in estimator.get_params(deep=False).items() if name != _HEAD}
    arrays, plain = _fitted(vars(estimator))
    state = {
        f"{i}.{name}": tensor
        for i, head in enumerate(estimator.heads_)
        for name, tensor in head.state_.items()
    }
    state |= {f"{_FITTED}.{name}": torch.as_tensor(value) for name, value in arrays.items()}
    options |= {
        _HEAD: None if estimator.head is None else _described(estimator.head),
        _MEMBERS: [_described(head) for head in estimator.heads_],
        _FITTED: plain,
    }
    classes, num_features = estimator.classes_, estimator.n_features_in_
    return SavedHead(estimator.kind, options, classes, num_features, state, needs)


def from_saved(cls: Any, saved: SavedHead, source: str) -> Any:
    """A fitted estimator of this class.

    Args:
        cls: of the estimator.
        saved: its values.
        source: their file, for errors.

    Raises:
        DamagedFile: they are not those of such an estimator.
        CheckpointMismatch: the tensors do not fit its heads.
    """
    try:
        return _from_saved(cls, saved, source)
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedFile(
            f"The head at {source!r} is damaged: it is no {saved.kind} ({error}). Next: fit and save it "
            "again."
        ) from error


def _from_saved(cls: Any, saved: SavedHead, source: str) -> Any:
    options = dict(saved.options)
    members, plain, template = options.pop(_MEMBERS), options.pop(_FITTED), options.pop(_HEAD)
    head = None if template is None else HEADS[template["kind"]](**template["options"])
    found = cls(head, **options)
    found.heads_ = tuple(
        _member(replace(saved, kind=one["kind"], options=one["options"]), number, source)
        for number, one in enumerate(members)
    )
    found.classes_, found.n_features_in_ = saved.classes, saved.num_features
    for name, value in _under(saved.state, _FITTED).items():
        setattr(found, name, value.numpy() if value.ndim else value.item())
    for name, value in plain.items():
        setattr(found, name, value)
    return found


def _member(saved: SavedHead, number: int, source: str) -> AbstractClassifier:
    own = replace(saved, state=_under(saved.state, str(number)))
    return HEADS[own.kind].from_saved(own, source)


def _described(head: AbstractClassifier) -> dict[str, Any]:
    return {"kind": head.kind, "options": head.get_params()}


def _fitted(attributes: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Further fitted attributes: numbers and arrays, and lists of plain values."""
    found = {name: each for name, each in attributes.items() if name.endswith("_") and name not in _OF_ALL}
    plain = {name: each for name, each in found.items() if isinstance(each, list)}
    return {name: np.asarray(each) for name, each in found.items() if name not in plain}, plain


def _under(state: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    start = f"{prefix}."
    return {name.removeprefix(start): value for name, value in state.items() if name.startswith(start)}
