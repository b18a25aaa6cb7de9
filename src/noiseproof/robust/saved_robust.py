"""Save and load estimators of one or two heads in the files of a head: `path`.safetensors and `path`.json."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from noiseproof.core.errors import DamagedFile
from noiseproof.core.registry import unknown_name
from noiseproof.heads.abstract import AbstractHead
from noiseproof.heads.estimators import HEADS
from noiseproof.heads.saved_heads import HeadNeeds, SavedHead, read_head, write_head
from noiseproof.robust.abstract_robust import AbstractRobustHead
from noiseproof.robust.co_teaching import CoTeaching
from noiseproof.robust.divide_mix import DivideMix
from noiseproof.robust.meta_weight_net import MetaWeightNet

ROBUST: dict[str, type[AbstractRobustHead]] = {
    one.kind: one for one in (CoTeaching, DivideMix, MetaWeightNet)
}
_HEAD, _MEMBERS, _FITTED = "head", "heads_", "fitted"
_OF_ALL = ("classes_", "n_features_in_", _MEMBERS)  # attributes that every estimator has
Estimator = AbstractHead | AbstractRobustHead


def write_robust(
    estimator: AbstractRobustHead, path: str | os.PathLike[str], needs: HeadNeeds | None
) -> Path:
    """Write a fitted estimator; tensors of head i are called `i.NAME`."""
    options = {name: value for name, value in estimator.get_params(deep=False).items() if name != _HEAD}
    arrays, plain = _fitted(estimator)
    members = [_described(head) for head in estimator.heads_]
    template = None if estimator.head is None else _described(estimator.head)
    state = {f"{i}.{key}": each for i, head in enumerate(estimator.heads_) for key, each in head.state_.items()}
    saved = SavedHead(
        estimator.kind,
        options | {_HEAD: template, _MEMBERS: members, _FITTED: plain},
        estimator.classes_,
        estimator.n_features_in_,
        state | {f"{_FITTED}.{name}": torch.as_tensor(value) for name, value in arrays.items()},
        needs,
    )
    return write_head(saved, path)


def load_estimator(path: str | os.PathLike[str]) -> Estimator:
    """Load any estimator that `save` wrote.

    Raises:
        MissingFile: one of the two files does not exist.
        DamagedFile: a file was altered or truncated.
        UnknownName: the class of the estimator does not exist in this version.
        CheckpointMismatch: the tensors do not fit it.
    """
    return estimator_from(read_head(path), str(path))


def estimator_from(saved: SavedHead, source: str) -> Estimator:
    """A fitted estimator from saved values; `source` is their file, for errors."""
    if saved.kind in HEADS:
        return HEADS[saved.kind].from_saved(saved, source)
    if saved.kind not in ROBUST:
        raise unknown_name("head", saved.kind, (*HEADS, *ROBUST))
    try:
        return _robust_from(saved, source)
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedFile(
            f"The head at {source!r} is damaged: it is no {saved.kind} ({error}). Next: fit and save it again."
        ) from error


def _robust_from(saved: SavedHead, source: str) -> AbstractRobustHead:
    options = dict(saved.options)
    members, plain, template = options.pop(_MEMBERS), options.pop(_FITTED), options.pop(_HEAD)
    head = None if template is None else HEADS[template["kind"]](**template["options"])
    found: Any = ROBUST[saved.kind](head, **options)
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


def _member(saved: SavedHead, number: int, source: str) -> AbstractHead:
    own = replace(saved, state=_under(saved.state, str(number)))
    return HEADS[own.kind].from_saved(own, source)


def _described(head: AbstractHead) -> dict[str, Any]:
    return {"kind": head.kind, "options": head.get_params()}


def _fitted(estimator: AbstractRobustHead) -> tuple[dict[str, Any], dict[str, Any]]:
    """Further fitted attributes: numbers and arrays, and lists of plain values."""
    found = {name: each for name, each in vars(estimator).items() if name.endswith("_")}
    own = {name: each for name, each in found.items() if name not in _OF_ALL}
    plain = {name: each for name, each in own.items() if isinstance(each, list)}
    return {name: np.asarray(each) for name, each in own.items() if name not in plain}, plain


def _under(state: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    start = f"{prefix}."
    return {name.removeprefix(start): value for name, value in state.items() if name.startswith(start)}
